package lua

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// One-line programs whose results were written down from Debian's lua5.1. They are lines of
// testdata/oneline.txt: a program, then "= " and the result as a Go string.

var update = flag.Bool("update", false, "write testdata/oneline.txt anew from what lua5.1 says")

const onelineFile = "testdata/oneline.txt"

// onelinePrograms are all of them: written by hand, and every function and operator with
// every kind of argument.
func onelinePrograms() []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, p := range strings.Split(strings.TrimSpace(handWritten), "\n") {
		if p = strings.TrimSpace(p); p != "" {
			list = append(list, p)
		}
	}
	values := []string{"nil", "true", "{}", "'a'", "'10'", "' 0x1F '", "3", "-2", "2.7", "print"}
	for _, op := range []string{"+", "-", "*", "/", "%%", "^", "..", "==", "~=", "<", "<=", ">", ">="} {
		for _, a := range values {
			for _, b := range values {
				add("local a,b=%s,%s return a "+op+" b", a, b)
			}
		}
	}
	// Numbers at which rounding, signs of zero and NaN show: each operation on variables,
	// and with a constant on either side. text tells -0 from 0.
	const text = "local function text(r) return (r==0 and 1/r<0) and '-0' or ('%%.17g'):format(r) end "
	special := []string{"0", "-0", "1", "-1", "0.5", "-0.5", "13", "-13", "2.5", "-2.5", "1e308", "-1e308", "5e-324", "-5e-324",
		"4503599627370496", "-4503599627370496", "2251799813685247.5", "-2251799813685247.5", "9007199254740993", "1e16", "-1e16", "1/0", "-1/0", "0/0"}
	all := "local t={" + strings.Join(special, ",") + "} t[2]=-t[1] "
	for _, op := range []string{"+", "-", "*", "/", "%%", "^"} {
		for i, a := range special {
			add(text+all+"local a,o=t[%d],'' for i=1,#t do o=o..text(a"+op+"t[i])..' ' end return o", i+1)
			if !strings.Contains(a, "/") {
				add(text+all+"local o='' for i=1,#t do o=o..text(t[i]"+op+"(%[1]s))..' '..text((%[1]s)"+op+"t[i])..' ' end return o", a)
			}
		}
	}
	for _, f := range []string{"-", "math.floor", "math.ceil", "math.abs", "math.sqrt", "math.modf", "math.frexp", "tonumber"} {
		add(text+all+"local o='' for i=1,#t do o=o..text(%s(t[i]))..' '..tostring(%[1]s(t[i]))..' ' end return o", f)
	}
	for _, f := range []string{"math.exp", "math.log", "math.log10", "math.atan", "math.tanh"} { // not the last two digits
		add(all+"local o='' for i=1,#t do o=o..%s(t[i])..' ' end return o", f)
	}
	for _, f := range []string{"math.fmod", "math.max", "math.min", "math.pow"} {
		for i := range special {
			add(text+all+"local a,o=t[%d],'' for i=1,#t do o=o..text(%[2]s(a,t[i]))..' ' end return o", i+1, f)
		}
	}
	for i := range special {
		add(all+"local a,o=t[%d],'' for i=1,#t do o=o..math.atan2(a,t[i])..' ' end return o", i+1)
	}
	for i := range special {
		add(all+"local a,o=t[%d],'' for i=1,#t do o=o..tostring(a<t[i])..tostring(a<=t[i])..tostring(a==t[i])..' ' end return o", i+1)
		add(all+"local a,n,o=t[%d],0,'' for i=1,#t do n=0 for j=a,a+3,t[i] do n=n+1 if n>3 then break end end o=o..n..' ' end return o", i+1)
		add(all+"local a=t[%d] return pcall(function() local u={} u[a]=1 return u[0],u[-a],u[a],next(u) end)", i+1)
	}
	for _, a := range values {
		add("local a=%s return -a", a)
		add("local a=%s return #a", a)
		add("local a=%s return not a", a)
		add("local a=%s return a()", a)
		add("local a=%s return a.x", a)
		add("local a=%s a.x=1", a)
		add("local a=%s return a.x.y", a)
		add("local a=%s return a:x()", a)
		add("local a=%s return a[nil]", a)
		add("local a=%s a[nil]=1", a)
		add("local a=%s for i=a,2 do print(i) end", a)
		add("local a=%s for i=1,a do print(i) end", a)
		add("local a=%s for i=1,2,a do print(i) if i<-5 then break end end", a)
		add("local a=%s for k in a do print(k) end", a)
		add("g=%s return g+1, g", a)
		add("g=%s return g.x", a)
		add("g=%s return g()", a)
		add("g=%s return 'x'..g", a)
		add("local t={f=%s} return t.f+1", a)
		add("local t={f=%s} return t.f()", a)
		add("local t={f=%s} return t:f()", a)
		add("local t={f=%s} return t.f.x", a)
		add("local t={f=%s} return t.f..'x'", a)
		add("local u=%s return (function() return u+1 end)()", a)
		add("local u=%s return (function() return u() end)()", a)
		add("local u=%s return (function() return u.x end)()", a)
		add("local t={} return t[%s]", a)
		add("local t={} t[%s]=1 return next(t)~=nil", a)
		add("return %s < 1", a)
		add("return 1 < %s", a)
		add("error(%s)", a)
		add("error(%s,0)", a)
		add("error(%s,2)", a)
		add("return pcall(error,%s)", a)
		add("return xpcall(function() error(%s) end, function(m) return type(m), m end)", a)
		add("return select(%s,'p','q','r')", a)
		add("assert(%s)", a)
		add("assert(%s,'message')", a)
		add("return tostring(%s):sub(1,5)", a)
		add("return type(%s)", a)
		add("return tonumber(%s)", a)
		add("return setmetatable({},%s)", a)
		add("return setmetatable(%s,{})", a)
		add("return getmetatable(%s)", a)
		add("return rawget(%s,1)", a)
		add("return rawequal(%s,3)", a)
		add("return ipairs(%s)", a)
		add("for k,v in pairs(%s) do print(k,v) end", a)
		add("return next(%s)", a)
		add("return next({},%s)", a)
		add("return unpack(%s)", a)
		add("return loadstring(%s)", a)
		add("return pcall(%s)", a)
		add("return coroutine.create(%s)", a)
		add("return coroutine.wrap(%s)", a)
		add("return coroutine.resume(%s)", a)
		add("return coroutine.status(%s)", a)
		add("return coroutine.wrap(function(...) return coroutine.yield(...) end)(%s)", a)
		add("return setfenv(%s,{})", a)
		add("return type(getfenv(%s))", a)
		add("local t=setmetatable({},{__index=%s}) return t.x", a)
		add("local t=setmetatable({},{__newindex=%s}) t.x=1 return rawget(t,'x')", a)
		add("local t=setmetatable({},{__call=%s}) return t(1)", a)
		add("local t=setmetatable({},{__add=%s}) return t+1", a)
		add("local t=setmetatable({},{__concat=%s}) return t..1", a)
		add("local t=setmetatable({},{__eq=%s}) return t==setmetatable({},getmetatable(t))", a)
		add("local t=setmetatable({},{__lt=%s}) return t<t", a)
		add("local t=setmetatable({},{__le=%s}) return t<=t", a)
		add("local t=setmetatable({},{__unm=%s}) return -t", a)
		add("local t=setmetatable({},{__tostring=%s}) return tostring(t):sub(1,7)", a)
		add("local t=setmetatable({},{__metatable=%s}) return getmetatable(t), setmetatable(t,{})", a)
		add("return math.random(%s) ~= nil", a)
		add("return math.randomseed(%s)", a)
	}
	// Every library function with one argument, and with two of the more telling ones.
	functions := []string{"string.byte", "string.char", "string.find", "string.format", "string.gmatch", "string.gsub",
		"string.len", "string.lower", "string.match", "string.rep", "string.reverse", "string.sub", "string.upper",
		"table.concat", "table.foreach", "table.foreachi", "table.getn", "table.insert", "table.maxn", "table.remove",
		"table.setn", "table.sort", "math.abs", "math.acos", "math.asin", "math.atan", "math.atan2", "math.ceil", "math.cos",
		"math.cosh", "math.deg", "math.exp", "math.floor", "math.fmod", "math.mod", "math.frexp", "math.ldexp", "math.log",
		"math.log10", "math.max", "math.min", "math.modf", "math.pow", "math.rad", "math.sin", "math.sinh", "math.sqrt",
		"math.tan", "math.tanh"}
	for _, f := range functions {
		add("return %s()", f)
		add("return pcall(%s)", f)
		for _, a := range values {
			add("return %s(%s)", f, a)
		}
		for _, a := range []string{"'hello'", "{5,3,4}", "7"} {
			for _, b := range []string{"nil", "'l'", "2", "-1", "{}", "print", "true", "'3'", "0/0"} {
				add("return %s(%s,%s)", f, a, b)
			}
		}
		if strings.HasPrefix(f, "string.") {
			for _, rest := range []string{"'l',nil", "'l',3", "2,4", "-3,-2", "'(l)(.)','%2%1'", "'l',{}", "'l',print", "'l',true", "2,nil", "4,2", "0,0", "'%d',4", "'.',4,true", "'l','x',1", "'l',{l=1}", "'l',{l=true}", "'','-'"} {
				add("return %s('hello',%s)", f, rest)
			}
			add("return ('hello'):%s()", strings.TrimPrefix(f, "string."))
			add("return ('hello'):%s({})", strings.TrimPrefix(f, "string."))
		}
		if strings.HasPrefix(f, "table.") {
			for _, rest := range []string{"','", "', ',2", "', ',2,3", "', ',3,2", "1,'x'", "9,'x'", "4,'x'", "1,2,3", "function(a,b) return a>b end", "function(a,b) return b end", "function() end", "function() return 1 end", "3", "9"} {
				add("local t={5,3,4} return %s(t,%s), t[1],t[2],t[3],t[4],#t", f, rest)
			}
		}
		if strings.HasPrefix(f, "math.") {
			for _, a := range []string{"0", "-0", "1", "0.5", "-0.5", "1/0", "-1/0", "0/0", "-(0/0)", "1e300", "1e-320", "100", "'8'", "2,3", "2,0", "-7,3", "7,-3", "-7,1/0", "1/0,2", "0,0", "-8,1/3", "2,0.5", "1,2,3", "3,1,2,-4", "-1,0", "0,-1", "1e308,10", "10,-2"} {
				add("return %s(%s)", f, a)
			}
		}
	}
	// string.format: each conversion with flags, widths and values.
	for _, verb := range "cdiouxXeEfgGqsaAFpn%" {
		for _, flags := range []string{"", "5", "-5", "05", "+", " ", "#", "+5", "-+5", "# 08", ".0", ".3", "10.3", "-10.3", "010.3", "+.1", "#.0", ".10", "20.15", "99.99", "--5", "-+ #0", "-+ #0-", "123", ".123", "5.", "l", "*"} {
			add("return string.format('[%%%s%c]',65.7), pcall(string.format,'[%%%s%c]',-42), pcall(string.format,'[%%%s%c]','x\\0y')", flags, verb, flags, verb, flags, verb)
		}
		for _, v := range []string{"0", "1", "-1", "0.1", "1e15", "1e100", "-1e100", "2^31", "2^53", "2^63", "2^64", "-2^63", "1/0", "-1/0", "0/0", "'12'", "255", "256", "1e-5", "123456789", "0.5", "1.5", "2.5", "99.95"} {
			if verb != 'p' && verb != 'n' {
				add("return string.format('%%%c|%%.2%c|%%#%c',%s,%s,%s)", verb, verb, verb, v, v, v)
			}
		}
	}
	// Patterns.
	patterns := []string{"", "a", "%a", "%A", "%d+", "%s*", "%w-", "%p", "%c", "%x+", "%u", "%l+", "%z", "[a-c]", "[^a-c]+", "[%a_][%w_]*", "[]]",
		"[^]]", "[a-]", "[-a]", "[%]]", "[a%-z]", "[%d-x]", "^a", "a$", "^$", "$", "$a", "a^", "(a)", "()", "(a*)(b*)", "((a)(b))", "(a", "a)", "%", "a%",
		"[a", "[", "[^", "[]", "%b()", "%b", "%bx", "%baa", "%f[%w]%w+", "%f[%W]", "%f", "%fa", "(.)%1", "%1", "(%1)", "%0", "(a)%2", "a?b", "a?", "a*?",
		"a-b", ".-b", ".*b", ".+", "()a()", "%.", "%%", "(.-)%s", "^(%s*)(.-)%s*$", "[%z]", "a**", "(a)*", "^*", "*a", "+", "?", "-", "[[]", "(()())", "x*", "%S+", "[%S%d]+", "[a-%d]"}
	subjects := []string{"", "abc", "aab bcc", "f(a(b)c)d", "  key = value  ", "hello world 123", "THE (quick) fox", "a.b%c]d-e", "aXb\\0c\\nd", "[x]", "$a^"}
	for _, p := range patterns {
		for i, s := range subjects {
			if i%2 == len(p)%2 || i < 3 {
				add("return ('%s'):find('%s')", s, p)
				add("return ('%s'):gsub('%s','<%%0>')", s, p)
			} else {
				add("return ('%s'):match('%s')", s, p)
				add("local n=0 for a,b in ('%s'):gmatch('%s') do print(a,b) n=n+1 if n>20 then break end end", s, p)
			}
		}
	}
	return list
}

const handWritten = `
return (function(g) if g then return 1 end return false and g() end)(nil)
return (function(g) while g do g = nil end return false and g end)(1)
return (function(g) if not g then return 1 end return true or g end)(7)
return (function(g) if g then return 1 end local x = nil and g() return x end)(false)
local n=0 local a,b=load(function() n=n+1 return ('*a = 1'):sub(n,n) end) return a, b, n
local n=0 local a,b=load(function() n=n+1 if n==1 then return 'x =' elseif n==2 then return 12 elseif n==3 then return '+' end error({}) end) return a, type(b), n
local n=0 local f=load(function() n=n+1 end) return type(f), n
local n=0 local f=load(function() n=n+1 if n==2 then return 'return 7' end end) return f(), n
local n=0 local s="local abc,def='x\\\ny',12e3 --[[c]] return abc..def,[==[long]==]" return load(function() n=n+1 return s:sub(n,n) end)()
return load(function() return {} end)
return load(function() return 'return return' end)
return load(function() return error('a',0) end)
return pcall(load, function() return coroutine.yield() end)
return 1e14, 1e15, 1e16, 123456789012345, 0.1, 1/3, -1/3, 1e100, 1e-100, 2^53, 2^63, -0, 0/0, 1/0, -1/0
return tostring(1e14), tostring(1e15), tostring(0.1), tostring(-0), tostring(0/0), tostring(-(0/0)), tostring(1/0), tostring(100), tostring(2^31)
return 1e14 .. '', 1e15 .. '', 0.1 .. '', 1/3 .. ''
return 5 % 3, -5 % 3, 5 % -3, -5 % -3, 5.5 % 2, 5 % math.huge, -5 % math.huge, 5 % 0
return 7 / 2, 7 / 0, -7 / 0, 2 ^ 10, 2 ^ 0.5, 2 ^ -1, (-8) ^ (1/3)
return 1 == 1.0, '1' == 1, 'a' < 'b', 'a' < 'B', '' < 'a', 'a\0b' < 'a\0c', 'a\0' > 'a', 'Z' < 'a', '10' < '9'
return 0x10, 0xff, 0XA, 1e2, 1E+2, .5, 3., 3.e1
return 10 .. 20, 1 .. '', -1 .. ''
return '\65\066\n\t\\\'\"\a\b\f\v\r', '\z', #'\0\00\000', '\x41'
return '\300'
return [[a]], [==[a]]b]==]
return #'abc', #{1,2,3}, #{1,2,nil,4}, #{nil,nil,3}, #{n=1}, #{[1]=1,[2]=2,[4]=4}
return 1, 2, (function() return 3, 4 end)()
return ((function() return 3, 4 end)())
return {(function() return 3, 4 end)(), (function() return 5, 6 end)()}
return select('#'), select('#', nil), select('#', nil, nil), select(-1, 1, 2), select(2, 'a', 'b', 'c')
local function f(...) return select('#', ...), ... end return f(1, nil, 3)
local function f(...) local a, b = ... return a, b, arg end return f(1)
local function f(...) return arg.n, arg[1] end return f(7, 8, 9)
return not nil, not 0, not '', nil and 1, false or 2, 1 and 2, nil == false
return 2 ^ 3 ^ 2, -2 ^ 2, not 1 == 2, 1 .. 2 == '12', 1 + 2 .. ''
local a <const> = 1
goto x
return 1 // 2
return 1 & 2
return 7 ~= 8, 7 ~ 8
x = = 1
return (
return )
local function end
for i = 1 do end
for i, j = 1, 2 do end
if x then else elseif y then end
local t = {1, 2
local s = 'abc
local s = "abc\
return [[abc
return [=[abc]]
--[[ comment
return 1 --[[ comment ]] + 1
return 0x
return 1e
return 3x
return 1..2
return 'a' 'b'
return f'a'
break
while true do break end return 'x'
repeat local x = 5 until x == 5 return x
return ...
function f() return ... end
local x local x = 1 return x
f(1
a.b:c = 1
a + 1
local a, b, c = 1 return a, b, c
local a, b = (function() return 1, 2, 3 end)() return a, b
a, b = 1, 2, 3 return a, b
local t = {} t.x, t.y = 1, 2 return t.x, t.y
local i, t = 1, {} i, t[i] = 2, 3 return i, t[1], t[2]
local t = {1, 2, 3, n = 4, [10] = 5; 'x'} return #t, t.n, t[10], t[4]
return #'a' + 1, -'2', '3' * '4', '0x10' + 0, ' 5 ' + 1
return 'abc' + 1
return {} + 1
return nil + 1
return undefinedvariable.x
return undefinedfunction()
local t = {} t.x.y = 1
local t = {} t.x.y.z = 1
local t = {} t:nomethod()
local t = {a = {}} t.a.b()
('x')()
(1)()
(nil).x = 1
return ('x').y.z
return (1).x
return #nil
return -{}
return nil .. 'x'
return 'x' .. {}
return 1 .. nil
local a = 'x' return a .. nil
return {} < {}
return {} < 1
return 1 < 'x'
return nil < nil
return 'a' < 1
return true < false
return print < print
return {} <= {}
t[nil] = 1
local t = {} t[nil] = 1
local t = {} t[0/0] = 1
local t = {} return t[0/0], t[nil]
rawset({}, nil, 1)
rawset({}, 0/0, 1)
for i = 1, 'x' do end
for i = 'a', 2 do end
for i = 1, 2, {} do end
for i = 1, 2, 0 do print(i) break end
for i = '1', '3' do print(i) end
for i = 1, 3 do local j = i i = 10 print(j, i) end
for i = 3, 1, -1 do print(i) end
for i = 1, 0 do print(i) end
for i = 1, 2, 0.5 do print(i) end
for i = 0.1, 0.35, 0.1 do print(i) end
for k, v in next, {10, 20} do print(k, v) end
for k, v in {} do end
for k in nil do end
for a, b in ipairs({1, nil, 3}) do print(a, b) end
for i, v in ipairs({'a', 'b'}) do print(i, v) end
error('m')
error('m', 0)
error('m', 1)
error('m', 2)
error()
error(nil)
error({})
error(setmetatable({}, {__tostring = function() return 'E' end}))
local function f() error('deep', 2) end f()
local function f() error('deep') end local function g() f() end g()
return pcall(error, 'm', 1)
return pcall(error, 'm', 2)
return pcall(error)
return pcall(error, nil)
return pcall()
return pcall(nil)
return pcall(function() return 1, 2, 3 end)
return pcall(function() local x = nil; x() end)
return pcall(pcall)
return pcall(pcall, error, 'x')
return xpcall(function() error('x') end, function(m) return m .. '!' end)
return xpcall(function() return 1, 2 end, print)
return xpcall(function() error('x') end, function(m) error('y') end)
return xpcall(error)
return xpcall()
return select('#', pcall(function() end))
return assert(1, 2, 3)
assert(false)
assert(nil, 'msg')
assert(false, {})
assert(false, 'a\0b')
assert()
return tostring()
return tonumber()
return tonumber('10', 2), tonumber('ff', 16), tonumber('zz', 36), tonumber('8', 8), tonumber('0x1p4'), tonumber('1e1'), tonumber('')
return tonumber('  12  '), tonumber('12a'), tonumber('0x'), tonumber('1 2'), tonumber('inf'), tonumber('nan'), tonumber('-inf'), tonumber('- 1')
return tonumber(5, 10), tonumber('7', 10), tonumber(nil)
return tonumber('10', 1)
return tonumber('10', 37)
return tonumber({}, 10)
return tonumber(15, 16), tonumber('-ff', 16), tonumber('1.5', 16)
return type()
return type(nil), type(1), type('x'), type({}), type(print), type(true), type(coroutine.create(print))
return unpack({1, 2, 3}), (unpack({1, 2}))
return unpack({1, 2, 3}, 2), unpack({1, 2, 3}, 2, 3), unpack({}, 1, 3)
return select('#', unpack({}, 1, 7990))
return pcall(unpack, {}, 1, 7999)
return pcall(unpack, {}, 1, 1e7)
return unpack({1, 2}, 3)
return unpack()
return rawequal({}, {}), rawequal('a', 'a'), rawequal(1, 1)
return rawget(setmetatable({}, {__index = function() return 1 end}), 'x')
return rawlen
return next({}), next({1}), next({}, nil)
return next({}, 'x')
return next({1, 2, 3}, 3), next({1, 2, 3}, 1)
return getmetatable('').__index == string, ('x').len, #getmetatable('').__index.rep('a', 3)
return getmetatable('').__name, getmetatable(1)
return setmetatable({}, nil), getmetatable(setmetatable({}, nil))
setmetatable({}, 1)
setmetatable(1, {})
setmetatable(setmetatable({}, {__metatable = 'x'}), {})
return getmetatable(setmetatable({}, {__metatable = 'x'}))
local t = setmetatable({}, {__index = {x = 1}}) return t.x, t.y, rawget(t, 'x')
local t = setmetatable({}, {__index = function(t, k) return k .. '!' end}) return t.x, t[1]
local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v * 2) end}) t.x = 2 return t.x
local u = {} local t = setmetatable({}, {__newindex = u}) t.x = 2 return t.x, u.x
local t = setmetatable({}, {__call = function(self, ...) return ... end}) return t(1, 2)
local m = {__add = function(a, b) return 'add' end, __concat = function(a, b) return 'cat' end} local t = setmetatable({}, m) return t + 1, 1 + t, t .. 'x', 'x' .. t, 1 .. t
local m = {__eq = function() return true end} local a, b = setmetatable({}, m), setmetatable({}, m) return a == b, a ~= b, a == 1
local m = {__eq = function() return true end} return setmetatable({}, m) == setmetatable({}, {__eq = function() return true end})
local m = {__lt = function(a, b) return true end} local a, b = setmetatable({}, m), setmetatable({}, m) return a < b, a > b, a <= b, a >= b
local m = {__le = function(a, b) return true end} local a, b = setmetatable({}, m), setmetatable({}, m) return a <= b, pcall(function() return a < b end)
local t = setmetatable({}, {__len = function() return 5 end}) return #t
local t = setmetatable({}, {__unm = function(a, b) return rawequal(a, b) end}) return -t
local t = setmetatable({}, {__mod = function() return 'mod' end, __pow = function() return 'pow' end, __div = function() return 'div' end, __mul = function() return 'mul' end, __sub = function() return 'sub' end}) return t % 1, t ^ 1, t / 1, t * 1, t - 1, 1 - t
local t = setmetatable({}, {__tostring = function() return 5 end}) return tostring(t)
local t = setmetatable({}, {__tostring = function() return 'T' end}) return tostring(t), pcall(string.format, '%s', t)
local t = {} setmetatable(t, {__index = t}) return t.x
local a = {} for i = 1, 200 do a = setmetatable({}, {__index = a}) end return pcall(function() return a.x end)
local t = setmetatable({}, {__mode = 'k'}) t[{}] = 1 return type(t)
local c = coroutine.create(function(a, b) local c = coroutine.yield(a + b) return c * 2 end) print(coroutine.resume(c, 1, 2)) print(coroutine.resume(c, 10)) print(coroutine.resume(c)) return coroutine.status(c)
local f = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return f(), f(), f(), f()
local f = coroutine.wrap(function() error('x') end) return pcall(f)
local f = coroutine.wrap(function() error({}) end) return pcall(f)
local f = coroutine.wrap(function() end) f() return pcall(f)
return coroutine.resume(coroutine.create(function() error('x') end))
return coroutine.resume(coroutine.create(function() return coroutine.yield end))
return coroutine.yield(1)
return pcall(coroutine.yield, 1)
return coroutine.running()
return coroutine.wrap(function() return type(coroutine.running()) end)()
local c c = coroutine.create(function() return coroutine.resume(c) end) return coroutine.resume(c)
local c c = coroutine.create(function() return coroutine.status(c) end) return coroutine.resume(c)
local c c = coroutine.wrap(function() return c() end) return pcall(c)
return coroutine.resume(coroutine.create(function() pcall(coroutine.yield) end))
return coroutine.resume(coroutine.create(function() return pcall(function() coroutine.yield(1) end) end))
return coroutine.resume(coroutine.create(function() for i in function() coroutine.yield(1) end do end end))
return coroutine.resume(coroutine.create(function() ('x'):gsub('x', function() coroutine.yield(1) end) end))
return coroutine.resume(coroutine.create(function() table.sort({3, 2, 1}, function() coroutine.yield(1) end) end))
return coroutine.resume(coroutine.create(function() return setmetatable({}, {__index = function() coroutine.yield(1) end}).x end))
local c = coroutine.create(print) return coroutine.status(c), coroutine.resume(c), coroutine.status(c)
return pcall(coroutine.wrap(function() error(6) end))
return pcall(function() return coroutine.wrap(function() error(6, 0) end)() end)
coroutine.create(1)
coroutine.create()
coroutine.resume(1)
coroutine.status(1)
coroutine.wrap(1)
return coroutine.resume(coroutine.wrap(print))
return loadstring('return 1 + 1')()
return loadstring('x =')
return loadstring('return ...', 'name')(5)
return loadstring('error("x")', '@name')
return pcall(loadstring('error("x")', '@name'))
return pcall(loadstring('error("x")', '=name'))
return pcall(loadstring('error("x")', 'some text'))
return pcall(loadstring('error("x")'))
return pcall(loadstring('\n\nerror("x")'))
return loadstring('x', '@n')
local n = 0 return load(function() n = n + 1 return ({'return ', '4', nil})[n] end)()
return load(function() error('e') end)
return load(1)
return load()
return pcall(load, function() return {} end)
return setfenv(function() return x end, {x = 5})()
return setfenv(print, {})
return setfenv(1, {}) ~= nil
setfenv(1, {y = 6}) return y
return getfenv(1) == _G, getfenv(0) == _G, getfenv() == _G
return getfenv(100)
return getfenv(-1)
return setfenv({}, {})
return type(newproxy()), type(newproxy(true)), getmetatable(newproxy()), type(getmetatable(newproxy(true)))
return newproxy(1)
return type(collectgarbage('count')), collectgarbage('collect'), collectgarbage('step') ~= nil
return collectgarbage('bogus')
return type(gcinfo())
return _VERSION, _G == _G._G, _G._G._G == _G
local s = 0 for i = 1, 100 do s = s + i end return s
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(15)
local t = {} for i = 1, 10 do t[i] = function() return i end end return t[1](), t[5](), t[10]()
local function c() local n = 0 return function() n = n + 1 return n end end local a, b = c(), c() return a(), a(), b()
local function f(n) if n == 0 then return 'done' end return f(n - 1) end return f(100000)
local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(10000)
return pcall(function() local function f() return 1 + f() end return f() end)
return pcall(function() local function f() f() end f() end)
local t = {} t[1.5] = 1 t[-1] = 2 t[0] = 3 t['1'] = 4 return t[1.5], t[-1], t[0], t['1'], t[1], #t
local t = {} t[2^53] = 1 return t[2^53], t[-2^53]
local t = {[1] = 'a', [1.0] = 'b'} return t[1]
local t = {[0] = 'z'} return t[-0], t[0]
local t = {1, 2, 3} t[#t + 1] = 4 t[#t] = nil t[#t] = nil return #t
local t = {n = 0} for i = 1, 5 do table.insert(t, i * i) end return table.concat(t, ',')
local t = {} for i = 1, 10 do t[i] = i end for i = 1, 10 do t[i] = nil end return #t, next(t)
return table.concat({1, 2, 'x', 4.5}, '-'), table.concat({}, 'x'), table.concat({1}, 'x'), table.concat({1, 2, 3}, ',', 2, 3)
return table.concat({1, {}, 3})
return table.concat({1, nil, 3}, ',', 1, 3)
return table.concat({}, ',', 1, 1)
return table.concat({1, 2}, 1), table.concat({1, 2}, {})
table.insert({}, 1, 2, 3)
table.insert({})
table.insert(nil, 1)
table.insert({}, 'x', 1)
local t = {1, 2, 3} table.insert(t, 1, 0) table.insert(t, 5, 9) return table.concat(t, ',')
local t = {1, 2, 3} table.insert(t, 10, 0) return #t, t[10]
local t = {1, 2, 3} table.insert(t, -1, 0) return t[-1], t[0], t[1], t[2], t[3], t[4]
local t = {1, 2, 3} return table.remove(t), table.remove(t, 1), #t, table.remove({}), table.remove(t, 5)
local t = {[0] = 'z'} return table.remove(t), table.remove(t, 0), t[0]
local t = {5, 2, 8, 1} table.sort(t) return unpack(t)
local t = {5, 2, 8, 1} table.sort(t, function(a, b) return a > b end) return unpack(t)
local t = {'b', 'a', 'C'} table.sort(t) return unpack(t)
table.sort({3, 'x', 1})
table.sort({3, nil, 1, {}})
table.sort({{}, {}})
table.sort({1, 2, 3}, 5)
return pcall(table.sort, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, function(a, b) return true end)
local n = 0 pcall(table.sort, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, function(a, b) n = n + 1 return true end) return n
local n = 0 table.sort({9, 8, 7, 6, 5, 4, 3, 2, 1}, function(a, b) n = n + 1 return a < b end) return n
local s = '' table.sort({3, 1, 2, 5, 4}, function(a, b) s = s .. a .. b .. ' ' return a < b end) return s
return table.maxn({1, 2, [10] = 3, [2.5] = 1}), table.maxn({}), table.maxn({[-1] = 1})
table.foreach({1, 2}, print)
table.foreach({x = 1}, print)
table.foreach({}, 1)
return table.foreach({1, 2, 3}, function(k, v) if v == 2 then return k, 'more' end end)
return table.foreachi({1, 2, nil, 4}, print)
return table.foreachi({'a', 'b'}, function(i, v) if i == 2 then return v end end)
return table.getn({1, 2, 3}), table.setn
table.setn({}, 1)
return table.pack, table.unpack, table.move, math.type, string.pack, utf8, bit32
return math.pi, math.huge, -math.huge, math.floor(-1.5), math.ceil(-1.5), math.floor(3), math.ceil(-0.5)
return math.max(1, 5, 3), math.min(2, 0, 7), math.max(-1), pcall(math.max)
return math.fmod(-5, 3), math.fmod(5, -3), math.fmod(5, 0), math.modf(3.7), math.modf(-3.7), math.modf(1/0)
return math.sqrt(2), math.sqrt(-1), math.abs(-3), math.exp(0), math.log(1), math.log(0), math.log(-1), math.log10(1000)
return math.frexp(8), math.ldexp(0.5, 4), math.deg(math.pi), math.rad(180), math.pow(2, 10)
return math.mod(7, 3), math.atan2(1, 1), math.cosh(0), math.sinh(0), math.tanh(0)
return math.floor('3.7'), math.abs('-2'), math.max('10', '9')
return math.random(0)
return math.random(5, 1)
return math.random(1, 2, 3)
return math.random(1), math.random(3, 3)
return string.rep('ab', 3), ('x'):rep(0), ('x'):rep(-1), ('x'):rep(2.9)
return string.sub('hello', 2, -2), ('hello'):sub(-3), ('hello'):sub(0), ('hello'):sub(10), ('hello'):sub(2, 1), ('hello'):sub(-100, 100)
return string.byte('A'), ('abc'):byte(1, -1), ('abc'):byte(10), ('abc'):byte(0), ('abc'):byte(-1)
return string.char(72, 105), string.char(), pcall(string.char, 256), pcall(string.char, -1), pcall(string.char, 'x')
return string.upper('abcÄ1'), string.lower('ABC'), string.reverse('abc'), string.len('a\0b'), ('%d'):format(3.7)
return string.find('hello', 'l'), string.find('hello', 'xyz'), string.find('hello', ''), string.find('hello', '', 10), string.find('', '')
return string.find('a.b', '.', 1, true), string.find('a.b', '%.'), string.find('a+b', '+', 1, true), string.find('abc', 'b', -1), string.find('abc', 'b', -2)
return ('key=val'):match('(%w+)=(%w+)'), ('x'):match('y'), ('abc'):match('()b()'), ('abc'):match('.-'), (' x '):match('^%s*(.-)%s*$')
return ('hello'):gsub('l', 'L'), ('hello'):gsub('l', 'L', 1), ('hello'):gsub('', '-'), ('hello'):gsub('(l)(l)', '%2%1'), ('abc'):gsub('%w', '%0%0')
return ('hello world'):gsub('%w+', {hello = 'HI'}), ('hello'):gsub('.', function(c) if c == 'l' then return 'L' end end), ('abc'):gsub('b', false)
return ('abc'):gsub('b', '%'), ('abc'):gsub('b', '%%'), ('abc'):gsub('b', '%1'), pcall(string.gsub, 'abc', 'b', '%2')
return ('abc'):gsub('b', function() return {} end)
return ('abc'):gsub('b', {b = {}})
return ('abc'):gsub('(', 'x')
return ('abc'):gsub('a', 'x', 'y')
return ('abc'):gsub('.', {a = 1, b = true})
return ('abc'):gsub('a*', 'x'), ('aaa'):gsub('a-', 'x'), ('abc'):gsub('$', 'x'), ('abc'):gsub('^', 'x'), ('abc abc'):gsub('^abc', 'x')
for w in string.gmatch('one two', '%a+') do print(w) end
for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do print(k, v) end
for a in ('abc'):gmatch('') do print(a) end
for a in ('abc'):gmatch('^a') do print(a) end
for a in ('x^ax'):gmatch('^a') do print(a) end
for p in ('abc'):gmatch('()') do print(p) end
return string.gfind == string.gmatch, string.gfind('a', 'a')()
return ('x'):rep(100):match(('x'):rep(50)), ('a'):rep(10):match(('a?'):rep(10) .. ('a'):rep(10))
return ('x'):match(('(x?)'):rep(32)), pcall(string.match, 'x', ('(x?)'):rep(33))
return ('THE (quick) fox'):find('%((%a+)%)'), ('f(a(b)c)'):match('%b()'), ('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)
return ('a,b,,c'):gsub(',', ';'), ('  x'):find('^%s+'), ('x'):find('^'), ('\0a\0'):find('%z'), ('a\0b'):find('\0b'), ('a\0b'):find('a\0b')
return ('ab\0cd'):match('b.c'), ('a\0b'):gsub('%z', '0'), ('[test]'):match('%[(.-)%]'), ('a-b'):match('[a%-]+'), ('a]b'):match('[]]'), ('a^b'):match('[%^]')
return string.format('%q', 'a"b\\c\nd\0e\rf'), string.format('%s %s', 1, 'x'), string.format('%%'), string.format('%5s|%-5s|%.2s', 'a', 'b', 'cde')
return string.format('%d %i %u %c %x %X %o %e %E %f %g %G', 1, 2, 3, 65, 255, 255, 8, 1.5, 1.5, 1.5, 1.5, 1e20)
return string.format('%5.2f|%-8d|%+d|% d|%05d|%#x|%#o|%.3g', 3.14159, 42, 42, 42, 42, 255, 8, 1234.5)
return string.format('%d', '10'), string.format('%s', 10), pcall(string.format, '%d', 'x'), pcall(string.format, '%s')
return string.format('%s', nil)
return string.format('%s', {})
return string.format('%d', 1e100), string.format('%d', -1e100), string.format('%x', -1), string.format('%u', -1), string.format('%c', 0), #string.format('%c', 0)
return string.format('%y', 1)
return string.format('%', 1)
return string.format('%')
return string.format('%10.123f', 1)
return string.format('%0000000d', 1)
return string.format()
return string.format('%s %s', 1)
return #string.format('%99.99f', 1e300), string.format('%.20f', 0.1), string.format('%.14g', 0.1), string.format('%.17g', 0.1), string.format('%.0f', 0.5), string.format('%.0f', 1.5)
return string.format('%s', ('x'):rep(200)) == ('x'):rep(200), #string.format('%150s', 'x')
return string.format('%-20s|', ('x'):rep(100)) == ('x'):rep(100) .. '|', string.format('%s', 'a\0b') == 'a\0b', #string.format('%5s', 'a\0b'), string.format('%q', 1)
return ('x'):bad()
return ('x').y
return #('x'):rep(1000)
local s = 'x' return s:upper(), s:len(), s:rep(2)
local s = 5 return (s):type()
return string.len(5), ('5'):rep(2) + 1, 10 .. '' == '10'
return tostring(print):match('^builtin') or tostring(print):match('^function'), tostring({}):match('^table: '), tostring(coroutine.create(print)):match('^thread: ')
local t = {} t.t = t return t.t.t == t
local a = {} local b = {a} return b[1] == a, a ~= {}
do local x = 1 do local x = 2 end return x end
local x = 1 local function f() return x end x = 2 return f()
local t = {f = function(self, a) return self.v + a end, v = 1} return t:f(2), t.f(t, 3)
local t = {a = {b = {}}} function t.a.b.f(x) return x end function t.a.b:g() return self == t.a.b end return t.a.b.f(1), t.a.b:g()
local s = '' for i = 1, 3 do for j = 1, 3 do if j == 2 then break end s = s .. i .. j end end return s
local i = 0 while i < 5 do i = i + 1 if i == 3 then break end end return i
local i = 0 repeat i = i + 1 until i >= 3 return i
return (function(a, b, ...) return a, b, ... end)(1, 2, 3, 4)
return (function(...) return (...) end)(1, 2), (function(...) return ... end)()
return #{...}, ...
local t = {(function() return 1, 2, 3 end)()} return #t
local t = {(function() return 1, 2, 3 end)(), nil} return #t
local a = {1, 2, 3, nil, 5} return a[5]
return 1 < 2 == true, 'a' .. 'b' .. 'c' == 'abc', 2 * 3 % 4, 1 - 1 - 1, 2 ^ -2
return - - 1, not not nil, #'ab' * 2
return 1;
;
return 1,
return local
local 1 = 2
function 1() end
return function end
return {1, 2,}, {;}
x.y.z = 1
x[1] = 2
return x == nil, y
local t = {} t.x = t.y return next(t)
local t = setmetatable({}, {__index = string}) return t.format('%d', 1)
return ((1))
return '' == nil, 0 == '0', 'abc' == 'abc'
return 0.1 + 0.2, 0.1 + 0.2 == 0.3, 1e308 * 10, -1e308 * 10, 2^1024, 5e-324, 1e-400
return 9007199254740993, 0.30000000000000004, 100000000000000, 1e21, 123456.789e3
return 3 % -2, -3 % 2, 3.5 % -2, 0 % 1, -0 % 1, 1 % 1e308, 1e308 % 3
`

func TestOneLinePrograms(t *testing.T) {
	if *update {
		programs := onelinePrograms()
		var b strings.Builder
		seen := map[string]bool{}
		results := lua51Batch(t, programs)
		for i, p := range programs {
			if !seen[p] {
				seen[p] = true
				b.WriteString(p + "\n= " + strconv.Quote(results[i]) + "\n")
			}
		}
		if err := os.WriteFile(onelineFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(onelineFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 2*2131 {
		t.Fatalf("only %d programs", len(lines)/2)
	}
	bad := 0
	var programs, wants []string
	for i := 0; i+1 < len(lines); i += 2 {
		want, err := strconv.Unquote(strings.TrimPrefix(lines[i+1], "= "))
		if err != nil {
			t.Fatalf("line %d: %v", i+2, err)
		}
		programs, wants = append(programs, lines[i]), append(wants, want)
		if got := runProgram(lines[i]); got != want {
			if bad++; bad <= 60 {
				t.Errorf("%s\n got %q\nwant %q", lines[i], got, want)
			}
		}
	}
	t.Logf("%d programs, %d differ", len(programs), bad)
	if _, err := exec.LookPath("lua5.1"); err != nil {
		t.Log("lua5.1 is not installed: the file was not held against it")
		return
	}
	for i, got := range lua51Batch(t, programs) {
		if got != wants[i] {
			t.Errorf("the file has another result than lua5.1:\n%s\n%q\n%q", programs[i], wants[i], got)
		}
	}
}
