/* Keys and sessions: put, changed, minted, ended. */

#include "check.h"

static tk_decision decided(tk_engine *engine, const tk_request *request) {
    tk_decision decision = admitting();
    OK(tk_decide_at(engine, request, NOW, &decision));
    return decision;
}

static uint8_t reason(tk_engine *engine, const char *key) {
    tk_request request = asking(key);
    return decided(engine, &request).reason;
}

/* A key that must be refused, and is then unknown. */
static void refused(tk_engine *engine, tk_result wanted, const char *told, const tk_key *key) {
    ANSWERS(wanted, tk_keys_put(engine, key, 1));
    TOLD(told);
}

static void test_key_misuse(tk_engine *engine, const char *minted) {
    tk_key key = key_of_p1();
    refused(engine, TK_ERR_NULL, "id of the key is NULL", &key);
    key.secret = tk_text("no key at all");
    refused(engine, TK_ERR_VALUE, "secret: not a key", &key);
    key.secret = tk_text("\xff");
    refused(engine, TK_ERR_UTF8, "secret is not UTF-8", &key);
    key.secret = tk_text(minted);
    key.project = tk_text(NULL);
    refused(engine, TK_ERR_NULL, "project is NULL", &key);
    key.project = tk_text("line\nbreak");
    refused(engine, TK_ERR_VALUE, "project: ", &key);
    key = key_of_p1();
    key.secret = tk_text(minted);
    key.state = 0;
    refused(engine, TK_ERR_VALUE, "0 is no tk_state", &key);
    key.state = 9;
    refused(engine, TK_ERR_VALUE, "9 is no tk_state", &key);
    key = key_of_p1();
    key.secret = tk_text(minted);
    key.hourly_limit = TK_UNLIMITED - 1;
    refused(engine, TK_ERR_VALUE, "hourly_limit: ", &key);
    key = key_of_p1();
    key.secret = tk_text(minted);
    key.ips = tk_text("nowhere");
    refused(engine, TK_ERR_VALUE, "ips: ", &key);
    key = key_of_p1();
    key.secret = tk_text(minted);
    key.origins = tk_bytes_of("x", TK_MAX_BYTES + 1u);
    refused(engine, TK_ERR_LENGTH, "origins is too long", &key);
    key = key_of_p1();
    key.secret = tk_text(minted);
    key.require_origin = 2;
    refused(engine, TK_ERR_STRUCT, "tk_key_init", &key);
    key = key_of_p1();
    key.id = id_of(minted);
    refused(engine, TK_ERR_NULL, "digest", &key);
    key.digest = tk_text("short");
    refused(engine, TK_ERR_LENGTH, "digest has 5 bytes", &key);
    memset(&key, 0, sizeof key);
    refused(engine, TK_ERR_STRUCT, "size of 0 bytes", &key);
    ANSWERS(TK_ERR_NULL, tk_keys_put(engine, NULL, 1));
    OK(tk_keys_put(engine, NULL, 0));
    key = key_of_p1();
    ANSWERS(TK_ERR_LENGTH, tk_keys_put(engine, &key, SIZE_MAX / 2));
    ANSWERS(TK_ERR_MISALIGNED, tk_keys_put(engine, OFF_BY_ONE(const tk_key, (const char *)&key), 1));
    ANSWERS(TK_ERR_ENGINE, tk_keys_put(NULL, &key, 1));

    /* One id twice: none of the array is put. */
    char other[TK_KEY_SPACE];
    tk_engine *elsewhere = small_engine();
    mint(elsewhere, 5, other);
    OK(tk_engine_free(elsewhere));
    tk_key keys[2];
    keys[0] = keys[1] = key_of_p1();
    keys[0].secret = keys[1].secret = tk_text(other);
    ANSWERS(TK_ERR_DUPLICATE, tk_keys_put(engine, keys, 2));
    CHECK(reason(engine, other) == TK_REASON_UNKNOWN_KEY);
    keys[1].size = sizeof(tk_key) + 8;
    ANSWERS(TK_ERR_STRUCT, tk_keys_put(engine, keys, 2));
    TOLD("differ");

    /* Minting. */
    char space[TK_KEY_SPACE] = "as it was";
    key = key_of_p1();
    ANSWERS(TK_ERR_SPACE, tk_key_mint(engine, tk_text(NULL), &key, space, sizeof space - 1));
    ANSWERS(TK_ERR_NULL, tk_key_mint(engine, tk_text(NULL), &key, NULL, sizeof space));
    ANSWERS(TK_ERR_NULL, tk_key_mint(engine, tk_text(NULL), NULL, space, sizeof space));
    ANSWERS(TK_ERR_VALUE, tk_key_mint(engine, tk_text("other"), &key, space, sizeof space));
    TOLD("add it to the prefixes");
    ANSWERS(TK_ERR_VALUE, tk_key_mint(engine, tk_text("NO"), &key, space, sizeof space));
    key.secret = tk_text(minted);
    ANSWERS(TK_ERR_VALUE, tk_key_mint(engine, tk_text(NULL), &key, space, sizeof space));
    ANSWERS(TK_ERR_ENGINE, tk_key_mint(NULL, tk_text(NULL), &key, space, sizeof space));
    CHECK(strcmp(space, "as it was") == 0);

    /* Those that name a key. */
    uint64_t units = 77;
    uint32_t state = 77;
    unsigned char digest[TK_DIGEST_LEN];
    ANSWERS(TK_ERR_NULL, tk_key_remove(engine, tk_text(NULL)));
    ANSWERS(TK_ERR_VALUE, tk_key_remove(engine, tk_text("short")));
    ANSWERS(TK_ERR_NO_KEY, tk_key_remove(engine, tk_text("0000000000")));
    ANSWERS(TK_ERR_NO_KEY, tk_key_set_state(engine, tk_text("0000000000"), TK_STATE_REVOKED, &state));
    ANSWERS(TK_ERR_VALUE, tk_key_set_state(engine, id_of(minted), 0, &state));
    ANSWERS(TK_ERR_NO_KEY, tk_key_set_limit(engine, tk_text("0000000000"), 1));
    ANSWERS(TK_ERR_VALUE, tk_key_set_limit(engine, id_of(minted), TK_UNLIMITED - 1));
    ANSWERS(TK_ERR_NO_KEY, tk_key_used(engine, tk_text("0000000000"), NOW, &units));
    ANSWERS(TK_ERR_NULL, tk_key_used(engine, id_of(minted), NOW, NULL));
    ANSWERS(TK_ERR_MISALIGNED,
            tk_key_used(engine, id_of(minted), NOW, OFF_BY_ONE(uint64_t, space)));
    ANSWERS(TK_ERR_NULL, tk_key_digest(engine, tk_text(NULL), digest));
    ANSWERS(TK_ERR_NULL, tk_key_digest(engine, tk_text(minted), NULL));
    CHECK(units == 77 && state == 77);
}

void test_keys(void) {
    tk_engine *engine = small_engine();
    char minted[TK_KEY_SPACE];
    mint(engine, 2, minted);
    CHECK(strncmp(minted, "tk_live_", 8) == 0);
    tk_request request = asking(minted);

    /* What it has used, and that its budget ends. */
    uint64_t units = 77;
    OK(tk_key_used(engine, id_of(minted), NOW, &units));
    CHECK(units == 0);
    tk_decision first = decided(engine, &request);
    CHECK(first.status == 200 && first.limit == 2 && first.remaining == 1);
    CHECK(first.reset_s == 2800 && first.unix_s == NOW && first.retry_after_s == 0);
    CHECK(strncmp(first.key_id, (const char *)id_of(minted).data, TK_KEY_ID_LEN) == 0);
    CHECK(strlen(first.key_id) == TK_KEY_ID_LEN);
    CHECK(decided(engine, &request).remaining == 0);
    tk_decision third = decided(engine, &request);
    CHECK(third.status == 429 && third.reason == TK_REASON_HOURLY_LIMIT);
    CHECK(third.retry_after_s == 2800);
    OK(tk_key_used(engine, id_of(minted), NOW, &units));
    CHECK(units == 2);

    /* Its limit, its state. */
    uint32_t state = 0;
    OK(tk_key_set_limit(engine, id_of(minted), 3));
    CHECK(decided(engine, &request).status == 200);
    OK(tk_key_set_limit(engine, id_of(minted), TK_UNLIMITED));
    CHECK(decided(engine, &request).reset_s == 0);
    OK(tk_key_set_state(engine, id_of(minted), TK_STATE_DISABLED, &state));
    CHECK(state == TK_STATE_DISABLED && reason(engine, minted) == TK_REASON_DISABLED_KEY);
    OK(tk_key_set_state(engine, id_of(minted), TK_STATE_ACTIVE, NULL));
    CHECK(reason(engine, minted) == TK_REASON_ALLOWED);

    /* Put by its digest, it goes on with what it has used. */
    unsigned char digest[TK_DIGEST_LEN];
    OK(tk_key_digest(engine, tk_text(minted), digest));
    tk_key key = key_of_p1();
    key.id = id_of(minted);
    key.digest = tk_bytes_of(digest, sizeof digest);
    key.expires_at = NOW + 1;
    key.origins = tk_text("https://app.example.com");
    key.ips = tk_text("192.0.2.0/24, 2001:db8::/32");
    OK(tk_keys_put(engine, &key, 1));
    CHECK(reason(engine, minted) == TK_REASON_ALLOWED);
    OK(tk_key_used(engine, id_of(minted), NOW, &units));
    CHECK(units == 6);
    request.origin = tk_text("https://evil.example.com");
    CHECK(decided(engine, &request).reason == TK_REASON_ORIGIN_DENIED);
    request.origin = tk_text("https://app.example.com");
    CHECK(decided(engine, &request).allow_origin == 1);
    OK(tk_request_address(tk_text("198.51.100.1"), &request));
    CHECK(decided(engine, &request).reason == TK_REASON_IP_DENIED);
    key.expires_at = NOW;
    OK(tk_keys_put(engine, &key, 1));
    CHECK(reason(engine, minted) == TK_REASON_EXPIRED_KEY);

    test_key_misuse(engine, minted);

    /* Revoked for ever; removed, it is unknown. */
    OK(tk_key_set_state(engine, id_of(minted), TK_STATE_REVOKED, &state));
    OK(tk_key_set_state(engine, id_of(minted), TK_STATE_ACTIVE, &state));
    CHECK(state == TK_STATE_REVOKED && reason(engine, minted) == TK_REASON_REVOKED_KEY);
    OK(tk_key_remove(engine, id_of(minted)));
    CHECK(reason(engine, minted) == TK_REASON_UNKNOWN_KEY);
    OK(tk_engine_tidy(engine));
    OK(tk_engine_free(engine));

    /* No more keys than there is room for. */
    tk_config config = small_config();
    config.max_keys = 1;
    OK(tk_engine_new(&config, &engine));
    mint(engine, 1, minted);
    tk_key more = key_of_p1();
    char space[TK_KEY_SPACE];
    ANSWERS(TK_ERR_FULL, tk_key_mint(engine, tk_text(NULL), &more, space, sizeof space));
    OK(tk_engine_free(engine));
}

void test_sessions(void) {
    tk_engine *engine = small_engine();
    char key[TK_KEY_SPACE], token[TK_TOKEN_SPACE];
    mint(engine, TK_UNLIMITED, key);
    tk_session session;
    tk_session_init(&session);
    session.project = tk_text("p1");
    session.user = tk_text("ada");
    OK(tk_session_mint(engine, &session, token, sizeof token));
    CHECK(strlen(token) == TK_TOKEN_SPACE - 1);

    tk_request request = asking(key);
    request.needs_user = 1;
    CHECK(decided(engine, &request).reason == TK_REASON_BEARER_REQUIRED);
    request.bearer = tk_text(token);
    tk_decision decision = decided(engine, &request);
    CHECK(decision.status == 200 && strcmp(decision.user, "ada") == 0);
    request.authorization_repeated = 1;
    CHECK(decided(engine, &request).reason == TK_REASON_BEARER_INVALID);
    request.authorization_repeated = 0;

    /* Ended; put again by its digest, with an end. */
    uint8_t was_there = 7;
    OK(tk_session_end(engine, tk_text(token), &was_there));
    CHECK(was_there == 1 && decided(engine, &request).reason == TK_REASON_BEARER_INVALID);
    OK(tk_session_end(engine, tk_text(token), &was_there));
    CHECK(was_there == 0);
    OK(tk_session_end(engine, tk_text(token), NULL));
    unsigned char digest[TK_DIGEST_LEN], of_key[TK_DIGEST_LEN];
    OK(tk_token_digest(engine, tk_text(token), digest));
    OK(tk_key_digest(engine, tk_text(token), of_key));
    CHECK(memcmp(digest, of_key, sizeof digest) != 0);
    session.digest = tk_bytes_of(digest, sizeof digest);
    session.expires_at = NOW + 1;
    OK(tk_sessions_put(engine, &session, 1));
    CHECK(decided(engine, &request).status == 200);
    session.expires_at = NOW;
    OK(tk_sessions_put(engine, &session, 1));
    CHECK(decided(engine, &request).reason == TK_REASON_BEARER_INVALID);

    /* Misuse. */
    char space[TK_TOKEN_SPACE] = "as it was";
    ANSWERS(TK_ERR_VALUE, tk_session_mint(engine, &session, space, sizeof space));
    session.digest = tk_text(NULL);
    ANSWERS(TK_ERR_SPACE, tk_session_mint(engine, &session, space, sizeof space - 1));
    ANSWERS(TK_ERR_NULL, tk_session_mint(engine, NULL, space, sizeof space));
    ANSWERS(TK_ERR_NULL, tk_session_mint(engine, &session, NULL, sizeof space));
    ANSWERS(TK_ERR_NULL, tk_sessions_put(engine, &session, 1));
    session.token = tk_text("");
    session.user = tk_text("\xc3\x28");
    ANSWERS(TK_ERR_UTF8, tk_sessions_put(engine, &session, 1));
    session.user = tk_text("");
    ANSWERS(TK_ERR_VALUE, tk_sessions_put(engine, &session, 1));
    session.user = tk_text("ada");
    session.reserved = 1;
    ANSWERS(TK_ERR_STRUCT, tk_sessions_put(engine, &session, 1));
    session.size = 1;
    ANSWERS(TK_ERR_STRUCT, tk_sessions_put(engine, &session, 1));
    ANSWERS(TK_ERR_NULL, tk_sessions_put(engine, NULL, 1));
    ANSWERS(TK_ERR_ENGINE, tk_sessions_put(NULL, &session, 1));
    ANSWERS(TK_ERR_NULL, tk_session_end(engine, tk_text(NULL), NULL));
    ANSWERS(TK_ERR_NULL, tk_token_digest(engine, tk_text(NULL), digest));
    ANSWERS(TK_ERR_NULL, tk_token_digest(engine, tk_text(token), NULL));
    CHECK(strcmp(space, "as it was") == 0);
    OK(tk_engine_tidy(engine));
    OK(tk_engine_free(engine));
}
