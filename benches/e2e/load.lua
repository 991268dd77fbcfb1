-- wrk's requests: for each key one, made beforehand and drawn at random.
-- Arguments: the file of keys, and the path to ask for.

local requests = {}

-- An address for each key: the one that a proxy would say asks by it.
local function address(n)
    return ("10.%d.%d.%d"):format(n / 65536 % 256, n / 256 % 256, n % 256)
end

function init(args)
    local asks = args[2] == "ask"
    for key in io.lines(args[1]) do
        local headers = { ["api-key"] = key }
        if asks then
            headers["x-forwarded-for"] = address(#requests)
            headers["x-forwarded-method"] = "GET"
            headers["x-forwarded-uri"] = "/v1/things/7"
        end
        requests[#requests + 1] = wrk.format("GET", nil, headers)
    end
    math.randomseed(os.time())
end

function request()
    return requests[math.random(#requests)]
end
