package hll

// What the tests use of this package.

var SelfTestHLL = selfTestHLL
