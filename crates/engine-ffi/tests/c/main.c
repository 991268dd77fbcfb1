/* Calls every function of tokenkit.h, rightly and wrongly. Its arguments are a
   folder of its own and the program `tokenkit`, with which a store is made and
   changed. */

#include "check.h"

#ifdef __cplusplus
#define ASSERT_HOLDS static_assert
#else
#define ASSERT_HOLDS _Static_assert
#endif

#define SIZE(T, bytes) ASSERT_HOLDS(sizeof(T) == (bytes), #T);
#define LAYOUT(T, member, place) ASSERT_HOLDS(offsetof(T, member) == (place), #T "." #member);
#include "layout.h"

ASSERT_HOLDS(TK_OK == 0 && TK_REASON_NONE == 0 && TK_REASON_ALLOWED == 1, "zero admits nothing");

static const unsigned char SECRET[32] = {7, 7, 7};

tk_config small_config(void) {
    tk_config config;
    tk_config_init(&config);
    config.secret = tk_bytes_of(SECRET, sizeof SECRET);
    config.max_keys = 1000;
    config.max_addresses = 64;
    return config;
}

tk_engine *small_engine(void) {
    tk_config config = small_config();
    tk_engine *engine = NULL;
    OK(tk_engine_new(&config, &engine));
    CHECK(engine != NULL);
    return engine;
}

tk_request asking(const char *key) {
    static const unsigned char client[4] = {192, 0, 2, 7};
    tk_request request;
    tk_request_init(&request);
    tk_request_ipv4(&request, client);
    request.api_key = tk_text(key);
    return request;
}

tk_key key_of_p1(void) {
    tk_key key;
    tk_key_init(&key);
    key.project = tk_text("p1");
    return key;
}

void mint(tk_engine *engine, uint64_t limit, char *key) {
    tk_key policy = key_of_p1();
    policy.hourly_limit = limit;
    OK(tk_key_mint(engine, tk_text(NULL), &policy, key, TK_KEY_SPACE));
}

tk_bytes id_of(const char *key) {
    size_t len = strlen(key);
    CHECK(len > 48);
    return tk_bytes_of(key + len - 48, TK_KEY_ID_LEN);
}

tk_decision admitting(void) {
    tk_decision decision;
    memset(&decision, 0, sizeof decision);
    decision.status = 200;
    decision.reason = TK_REASON_ALLOWED;
    return decision;
}

int is_unusable(const tk_decision *decision) {
    return decision->status == 503 && decision->reason == TK_REASON_UNUSABLE &&
           decision->key_id[0] == 0 && decision->user[0] == 0 && decision->reset_s == 0;
}

int is_503(const tk_answer *answer) {
    return answer->status == 503 && answer->header_count == 2 &&
           strcmp(header_of(answer, "cache-control"), "no-store") == 0 &&
           strstr(answer->body.data, "\"reason\":\"unusable\"") != NULL &&
           strcmp(answer->content_type.data, "application/problem+json") == 0;
}

const char *header_of(const tk_answer *answer, const char *name) {
    for (uint32_t i = 0; i < answer->header_count; i++) {
        const tk_header *header = &answer->headers[i];
        CHECK(strlen(header->name.data) == header->name.len);
        CHECK(strlen(header->value.data) == header->value.len);
        if (strcmp(header->name.data, name) == 0) {
            return header->value.data;
        }
    }
    return NULL;
}

/* Every text that the library hands out by itself. */
void test_texts(void) {
    CHECK(strcmp(tk_version(), TK_VERSION) == 0);
    CHECK(strcmp(tk_result_name(TK_OK), "TK_OK") == 0);
    CHECK(strcmp(tk_result_name(TK_ERR_INTERNAL), "TK_ERR_INTERNAL") == 0);
    CHECK(strcmp(tk_result_name(-1), "TK_ERR_?") == 0);
    CHECK(strcmp(tk_result_name(1000), "TK_ERR_?") == 0);
    CHECK(strcmp(tk_reason_name(TK_REASON_ALLOWED), "allowed") == 0);
    CHECK(strcmp(tk_reason_name(TK_REASON_HOURLY_LIMIT), "hourly_limit") == 0);
    CHECK(strcmp(tk_reason_name(TK_REASON_UNUSABLE), "unusable") == 0);
    CHECK(strcmp(tk_reason_name(TK_REASON_NONE), "none") == 0);
    CHECK(strcmp(tk_reason_name(200), "none") == 0);
    CHECK(tk_last_error()[0] == 0);
    tk_bytes nothing = tk_text(NULL);
    CHECK(nothing.data == NULL && nothing.len == 0);
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "a folder and the program tokenkit are wanted\n");
        return 2;
    }
    test_texts();
    test_config();
    test_keys();
    test_sessions();
    test_requests();
    test_decisions();
    test_misuse();
    test_batches();
    test_answers();
    test_metrics();
    test_handles();
    test_fork();
    test_threads();
    test_ledger(words[1]);
    test_store(words[1], words[2]);
    puts("all of it holds");
    return 0;
}
