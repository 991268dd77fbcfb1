-- The checks of nginx.conf: a key's SHA-256 in a shared dictionary, with its
-- id, expiry, limit and project; the hour's units and the failures of an
-- address in two more.

local ffi = require "ffi"

-- From the OpenSSL that nginx is linked with.
ffi.cdef [[
unsigned char *SHA256(const unsigned char *data, size_t len, unsigned char *digest);
]]

local keys = ngx.shared.keys
local hours = ngx.shared.hours
local failures = ngx.shared.failures
local digest = ffi.new("unsigned char[32]")
local sub, tonumber = string.sub, tonumber

local THRESHOLD, WINDOW_S, HOUR_S = 10, 300, 3600

local function sha256(text)
    ffi.C.SHA256(text, #text, digest)
    return ffi.string(digest, 32)
end

local function refuse(status, why)
    ngx.status = status
    ngx.print(why)
    ngx.exit(status)
end

local M = {}

-- Reads lines of: key, id, project, limit, expiry. The numbers are stored at
-- fixed places, so that no pattern is matched for a request.
function M.load(file)
    for line in io.lines(file) do
        local key, id, project, limit, expiry =
            line:match("^([^,]+),([^,]+),([^,]+),(%d+),(%d+)$")
        local record = id .. ("%010d"):format(expiry) .. ("%010d"):format(limit) .. project
        local ok, err = keys:safe_set(sha256(key), record)
        if not ok then
            error("the dictionary is too small: " .. err)
        end
    end
end

-- The id and project of an admitted request's key; a refusal is answered here.
function M.check(ip)
    local key = ngx.var.http_api_key
    if not key or key == "" then
        return refuse(401, "missing key")
    end
    if (failures:get(ip) or 0) >= THRESHOLD then
        return refuse(429, "blocked")
    end
    local hash = sha256(key)
    local record = keys:get(hash)
    if not record then
        failures:incr(ip, 1, 0, WINDOW_S)
        return refuse(401, "unknown key")
    end
    if ngx.time() >= tonumber(sub(record, 11, 20)) then
        return refuse(401, "expired key")
    end
    if hours:incr(hash, 1, 0, HOUR_S) > tonumber(sub(record, 21, 30)) then
        return refuse(429, "hourly limit")
    end
    return sub(record, 1, 10), sub(record, 31)
end

return M
