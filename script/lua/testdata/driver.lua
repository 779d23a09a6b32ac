-- Runs one program with its output captured. lua5.1 and our machine run this same file, so
-- that what both say of a program can be compared as text.
local type, tostring, rawget, select, pcall, loadstring, setfenv, pairs, next, setmetatable =
	type, tostring, rawget, select, pcall, loadstring, setfenv, pairs, next, setmetatable
local format, concat = string.format, table.concat
local globals = getfenv(0)
local ofStrings, strings = getmetatable(""), string
-- A program may have protected that metatable; here each has a machine of its own, and no debug.
local unprotected = debug and debug.setmetatable or setmetatable

local function show(v, depth)
	local t = type(v)
	if t == "string" then
		return format("%q", v)
	elseif t == "number" then
		return format("%.14g", v)
	elseif t == "table" and depth < 3 then
		local parts = {}
		for i = 1, 20 do
			local x = rawget(v, i)
			if x == nil then break end
			parts[i] = show(x, depth + 1)
		end
		return "{" .. concat(parts, ",") .. "}"
	elseif t == "nil" or t == "boolean" then
		return tostring(v)
	end
	return t
end

local function line(...)
	local parts = {}
	for i = 1, select("#", ...) do
		parts[i] = show((select(i, ...)), 1)
	end
	return concat(parts, " ")
end

return function(src)
	local out = {}
	-- A program may change its globals and libraries, but not those of the next program.
	local env = {}
	for k, v in pairs(globals) do
		if type(v) == "table" and v ~= globals then
			local copy = {}
			for name, f in next, v do copy[name] = f end
			v = copy
		end
		env[k] = v
	end
	env._G = env
	unprotected(ofStrings, nil)
	for k in next, ofStrings do ofStrings[k] = nil end
	ofStrings.__index = strings
	env.print = function(...)
		if #out < 1000 then out[#out + 1] = line(...) end
	end
	local f, message = loadstring(src, "=p")
	if not f then
		return "syntax " .. show(message, 1)
	end
	setfenv(f, env)
	setfenv(0, env)
	local function finish(ok, ...)
		setfenv(0, globals)
		out[#out + 1] = (ok and "ok " or "error ") .. line(...)
		return concat(out, "\n")
	end
	return finish(pcall(f))
end
