-- Runs each of ARGV as a program and returns what came of it as text. redis-server and our
-- machine run this same file.
local function show(v)
	local t = type(v)
	if t == "string" then
		return (string.format("%q", v):gsub("[\128-\255]", function(c) return "\\" .. c:byte() end))
	elseif t == "number" then
		return string.format("%.17g", v)
	elseif t == "table" then
		local parts = {}
		for k, x in pairs(v) do
			parts[#parts + 1] = show(k) .. "=" .. show(x)
		end
		table.sort(parts)
		return "{" .. #v .. ";" .. table.concat(parts, ",") .. "}"
	elseif t == "userdata" then
		return v == cjson.null and "null" or "userdata"
	elseif t == "function" or t == "thread" then
		return t
	end
	return tostring(v)
end

local function line(ok, ...)
	local parts = {}
	for i = 1, select("#", ...) do
		parts[i] = show((select(i, ...)))
	end
	return (ok and "ok " or "error ") .. table.concat(parts, " ")
end

local results = {}
for i, src in ipairs(ARGV) do
	local f, message = loadstring(src, "=p")
	if f then
		results[i] = line(pcall(f))
	else
		results[i] = "syntax " .. message
	end
end
return results
