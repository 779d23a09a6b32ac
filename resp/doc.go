// Package resp is Redis's protocol: the sessions that turn bytes into commands
// and replies into bytes, over package transport.
package resp
