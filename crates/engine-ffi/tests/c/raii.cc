// The interface as a C++17 program uses it: an engine that ends with its scope,
// and threads of the standard library.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tokenkit.h"

namespace {

struct Free {
    void operator()(tk_engine *engine) const { tk_engine_free(engine); }
};
using Engine = std::unique_ptr<tk_engine, Free>;

void check(tk_result result) {
    if (result != TK_OK) {
        throw std::runtime_error(std::string(tk_result_name(result)) + ": " + tk_last_error());
    }
}

tk_bytes lend(std::string_view text) { return tk_bytes_of(text.data(), text.size()); }

Engine make() {
    static const unsigned char secret[32] = {1, 2, 3};
    tk_config config;
    tk_config_init(&config);
    config.secret = tk_bytes_of(secret, sizeof secret);
    config.max_keys = 1000;
    tk_engine *engine = nullptr;
    check(tk_engine_new(&config, &engine));
    return Engine(engine);
}

std::string mint(const Engine &engine, std::string_view project, std::uint64_t limit) {
    tk_key policy;
    tk_key_init(&policy);
    policy.project = lend(project);
    policy.hourly_limit = limit;
    std::string key(TK_KEY_SPACE, '\0');
    check(tk_key_mint(engine.get(), tk_text(nullptr), &policy, key.data(), key.size()));
    key.resize(key.find('\0'));
    return key;
}

bool admits(const Engine &engine, std::string_view key, std::string_view client) {
    tk_request request;
    tk_request_init(&request);
    check(tk_request_address(lend(client), &request));
    check(tk_request_header(lend("api-key"), lend(key), &request));
    tk_decision decision;
    check(tk_decide_at(engine.get(), &request, 1790000000, &decision));
    return decision.reason == TK_REASON_ALLOWED;
}

}  // namespace

int main() {
    try {
        const Engine engine = make();
        const std::string key = mint(engine, "shop", 1000);
        std::vector<std::thread> threads;
        std::vector<int> admitted(4);
        for (std::size_t i = 0; i < admitted.size(); i++) {
            threads.emplace_back([&, i] {
                for (int asked = 0; asked < 500; asked++) {
                    admitted[i] += admits(engine, key, "2001:db8::1");
                }
            });
        }
        int all = 0;
        for (std::size_t i = 0; i < admitted.size(); i++) {
            threads[i].join();
            all += admitted[i];
        }
        if (all != 1000) {
            throw std::runtime_error(std::to_string(all) + " of 1000 were admitted");
        }
        std::puts("all of it holds in C++");
        return EXIT_SUCCESS;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return EXIT_FAILURE;
    }
}
