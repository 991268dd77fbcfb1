/* Requests and decisions, one at a time and many at once, right and wrong. */

#include "check.h"

static tk_decision decided(tk_engine *engine, const tk_request *request) {
    tk_decision decision = admitting();
    OK(tk_decide_at(engine, request, NOW, &decision));
    return decision;
}

static void header(tk_request *request, const char *name, const char *value) {
    OK(tk_request_header(tk_text(name), tk_text(value), request));
}

void test_requests(void) {
    tk_engine *engine = small_engine();
    char key[TK_KEY_SPACE], token[TK_TOKEN_SPACE], bearer[TK_TOKEN_SPACE + 16];
    mint(engine, TK_UNLIMITED, key);
    tk_session session;
    tk_session_init(&session);
    session.project = tk_text("p1");
    session.user = tk_text("ada");
    OK(tk_session_mint(engine, &session, token, sizeof token));
    snprintf(bearer, sizeof bearer, "bEARER  %s", token);

    /* Headers as they come. */
    tk_request request = asking(NULL);
    header(&request, "Host", "example.com");
    header(&request, "Api-Key", key);
    header(&request, "ORIGIN", "https://app.example.com");
    header(&request, "Authorization", bearer);
    CHECK(request.api_key.data == key && request.api_key.len == strlen(key));
    tk_decision decision = decided(engine, &request);
    CHECK(decision.status == 200 && strcmp(decision.user, "ada") == 0);

    /* Of several Authorization headers none may be a bearer's. */
    request.needs_user = 1;
    header(&request, "authorization", "Basic abc");
    CHECK(decided(engine, &request).reason == TK_REASON_BEARER_INVALID);
    tk_request basic = asking(key);
    basic.needs_user = 1;
    header(&basic, "authorization", "Basic abc");
    CHECK(decided(engine, &basic).reason == TK_REASON_BEARER_REQUIRED);
    header(&basic, "authorization", "Digest abc");
    CHECK(decided(engine, &basic).reason == TK_REASON_BEARER_REQUIRED);
    header(&basic, "authorization", bearer);
    CHECK(decided(engine, &basic).reason == TK_REASON_BEARER_INVALID);
    tk_request empty = asking(key);
    empty.needs_user = 1;
    header(&empty, "authorization", "Bearer ");
    CHECK(decided(engine, &empty).reason == TK_REASON_BEARER_REQUIRED);

    /* Keys and origins that are sent twice. */
    tk_request twice = asking(NULL);
    header(&twice, "api-key", key);
    header(&twice, "api-key", key);
    CHECK(decided(engine, &twice).reason == TK_REASON_MALFORMED_KEY);
    tk_key listed = key_of_p1();
    listed.secret = tk_text(key);
    listed.origins = tk_text("https://app.example.com");
    OK(tk_keys_put(engine, &listed, 1));
    tk_request origins = asking(key);
    header(&origins, "origin", "https://app.example.com");
    CHECK(decided(engine, &origins).status == 200);
    header(&origins, "origin", "https://app.example.com");
    CHECK(decided(engine, &origins).reason == TK_REASON_ORIGIN_DENIED);

    /* Addresses. */
    static const unsigned char v6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    tk_request_ipv6(&request, v6);
    CHECK(request.client_len == 16);
    tk_request text;
    tk_request_init(&text);
    OK(tk_request_address(tk_text("2001:db8::1"), &text));
    CHECK(memcmp(text.client, request.client, 16) == 0 && text.client_len == 16);
    OK(tk_request_address(tk_text("192.0.2.1"), &text));
    CHECK(text.client_len == 4 && text.client[0] == 192 && text.client[4] == 0);

    /* Misuse leaves the request as it was. */
    tk_request before = text;
    ANSWERS(TK_ERR_VALUE, tk_request_address(tk_text("192.0.2"), &text));
    ANSWERS(TK_ERR_NULL, tk_request_address(tk_text(NULL), &text));
    ANSWERS(TK_ERR_UTF8, tk_request_address(tk_text("\xff"), &text));
    ANSWERS(TK_ERR_NULL, tk_request_address(tk_text("192.0.2.1"), NULL));
    ANSWERS(TK_ERR_NULL, tk_request_header(tk_text(NULL), tk_text("x"), &text));
    ANSWERS(TK_ERR_NULL, tk_request_header(tk_text("x"), tk_text(NULL), &text));
    ANSWERS(TK_ERR_LENGTH, tk_request_header(tk_bytes_of("x", SIZE_MAX), tk_text("x"), &text));
    ANSWERS(TK_ERR_NULL, tk_request_header(tk_text("x"), tk_text("x"), NULL));
    ANSWERS(TK_ERR_MISALIGNED,
            tk_request_header(tk_text("x"), tk_text("x"), OFF_BY_ONE(tk_request, (char *)&text)));
    CHECK(memcmp(&before, &text, sizeof text) == 0);
    text.size = 3;
    ANSWERS(TK_ERR_STRUCT, tk_request_header(tk_text("api-key"), tk_text("x"), &text));
    OK(tk_engine_free(engine));
}

void test_decisions(void) {
    tk_config config = small_config();
    config.threshold = 2;
    config.block_s = 60;
    tk_engine *engine = NULL;
    OK(tk_engine_new(&config, &engine));
    char key[TK_KEY_SPACE];
    mint(engine, 10, key);

    /* A key that is missing changes nothing and needs no time. */
    tk_request request = asking(NULL);
    tk_decision decision = admitting();
    OK(tk_decide(engine, &request, &decision));
    CHECK(decision.status == 401 && decision.reason == TK_REASON_MISSING_KEY);
    CHECK(decision.unix_s == 0 && decision.key_id[0] == 0 && decision.project == 0);
    CHECK(decided(engine, &request).reason == TK_REASON_MISSING_KEY);
    request.api_key = tk_text(" \t");
    CHECK(decided(engine, &request).reason == TK_REASON_MISSING_KEY);

    /* Costs, and the system's time. */
    request = asking(key);
    request.cost = 10;
    OK(tk_decide(engine, &request, &decision));
    CHECK(decision.status == 200 && decision.remaining == 0 && decision.unix_s > NOW);
    CHECK(decision.reset_s >= 1 && decision.reset_s <= 3600);
    request.cost = 0;
    OK(tk_decide(engine, &request, &decision));
    CHECK(decision.status == 200);

    /* Bytes that are no text are no key; two guesses block. */
    request = asking(NULL);
    request.api_key = tk_bytes_of("\xff\x00\xfe", 3);
    CHECK(decided(engine, &request).reason == TK_REASON_MALFORMED_KEY);
    CHECK(decided(engine, &request).reason == TK_REASON_MALFORMED_KEY);
    decision = decided(engine, &request);
    CHECK(decision.status == 429 && decision.reason == TK_REASON_IP_BLOCKED);
    CHECK(decision.retry_after_s == 60 && decision.reset_s == 0);
    uint8_t was_blocked = 7;
    OK(tk_unblock(engine, tk_text("192.0.2.7"), NOW, &was_blocked));
    CHECK(was_blocked == 1);
    OK(tk_unblock(engine, tk_text("192.0.2.7"), NOW, &was_blocked));
    CHECK(was_blocked == 0);
    OK(tk_unblock(engine, tk_text("2001:db8::1"), NOW, NULL));
    ANSWERS(TK_ERR_VALUE, tk_unblock(engine, tk_text("here"), NOW, &was_blocked));
    ANSWERS(TK_ERR_NULL, tk_unblock(engine, tk_text(NULL), NOW, &was_blocked));
    CHECK(decided(engine, &request).reason == TK_REASON_MALFORMED_KEY);
    OK(tk_engine_free(engine));
}

/* A call that fails and denies. */
static void denies(tk_result wanted, tk_engine *engine, const tk_request *request) {
    tk_decision decision = admitting();
    ANSWERS(wanted, tk_decide_at(engine, request, NOW, &decision));
    CHECK(is_unusable(&decision));
    decision = admitting();
    ANSWERS(wanted, tk_decide(engine, request, &decision));
    CHECK(is_unusable(&decision));
    decision = admitting();
    ANSWERS(wanted, tk_decide_batch_at(engine, request, 1, NOW, &decision));
    CHECK(is_unusable(&decision));
    decision = admitting();
    ANSWERS(wanted, tk_decide_batch(engine, request, 1, &decision));
    CHECK(is_unusable(&decision));
}

void test_misuse(void) {
    tk_engine *engine = small_engine();
    char key[TK_KEY_SPACE];
    mint(engine, 5, key);
    union {
        tk_request aligned;
        unsigned char bytes[sizeof(tk_request) + 16];
    } room;
    tk_request request = asking(key);

    denies(TK_ERR_ENGINE, NULL, &request);
    TOLD("the engine is NULL");
    denies(TK_ERR_NULL, engine, NULL);
    memcpy(room.bytes + 1, &request, sizeof request);
    denies(TK_ERR_MISALIGNED, engine, OFF_BY_ONE(tk_request, room.bytes));
    request.size = 0;
    denies(TK_ERR_STRUCT, engine, &request);
    TOLD("tk_request_init");
    request.size = 12;
    denies(TK_ERR_STRUCT, engine, &request);
    memset(&request, 0, sizeof request);
    denies(TK_ERR_STRUCT, engine, &request);
    request = asking(key);
    request.client_len = 0;
    denies(TK_ERR_VALUE, engine, &request);
    TOLD("client address");
    request.client_len = 5;
    denies(TK_ERR_VALUE, engine, &request);
    request = asking(key);
    request.reserved[2] = 1;
    denies(TK_ERR_STRUCT, engine, &request);
    TOLD("tk_request_init");

    tk_bytes *members[] = {&request.api_key, &request.origin, &request.authorization,
                           &request.bearer};
    for (size_t i = 0; i < 4; i++) {
        request = asking(key);
        *members[i] = tk_bytes_of(key, SIZE_MAX);
        denies(TK_ERR_LENGTH, engine, &request);
        *members[i] = tk_bytes_of(key, TK_MAX_BYTES + 1u);
        denies(TK_ERR_LENGTH, engine, &request);
        *members[i] = tk_bytes_of(NULL, 1);
        denies(TK_ERR_NULL, engine, &request);
    }

    /* Nothing of that has charged the key. */
    request = asking(key);
    CHECK(decided(engine, &request).remaining == 4);

    /* A request of a header to come. */
    memset(&room, 0, sizeof room);
    request.size = (uint32_t)sizeof room.bytes;
    memcpy(&room, &request, sizeof request);
    CHECK(decided(engine, &room.aligned).remaining == 3);
    room.bytes[sizeof room.bytes - 1] = 1;
    denies(TK_ERR_STRUCT, engine, &room.aligned);

    /* Where the decision goes. */
    request = asking(key);
    ANSWERS(TK_ERR_NULL, tk_decide(engine, &request, NULL));
    ANSWERS(TK_ERR_NULL, tk_decide_batch(engine, &request, 1, NULL));
    unsigned char place[sizeof(tk_decision) + 1];
    tk_decision decision = admitting();
    memcpy(place + 1, &decision, sizeof decision);
    ANSWERS(TK_ERR_MISALIGNED, tk_decide(engine, &request, OFF_BY_ONE(tk_decision, place)));
    memcpy(&decision, place + 1, sizeof decision);
    CHECK(is_unusable(&decision));
    CHECK(decided(engine, &request).remaining == 2);
    OK(tk_engine_free(engine));
}

enum { MANY = 200 };

void test_batches(void) {
    tk_engine *engine = small_engine(), *twin = small_engine();
    char key[TK_KEY_SPACE];
    mint(engine, 50, key);
    tk_key same = key_of_p1();
    same.secret = tk_text(key);
    same.hourly_limit = 50;
    OK(tk_keys_put(twin, &same, 1));

    /* As many calls one after the other. */
    tk_request requests[MANY];
    tk_decision decisions[MANY];
    for (size_t i = 0; i < MANY; i++) {
        requests[i] = asking(i % 3 == 1 ? NULL : key);
        decisions[i] = admitting();
    }
    OK(tk_decide_batch_at(engine, requests, MANY, NOW, decisions));
    for (size_t i = 0; i < MANY; i++) {
        tk_decision alone = decided(twin, &requests[i]);
        alone.project = decisions[i].project;
        /* A lone decision about a missing key tells the time as well here. */
        CHECK(memcmp(&alone, &decisions[i], sizeof alone) == 0);
    }
    OK(tk_decide_batch(engine, requests, MANY, decisions));
    CHECK(decisions[0].unix_s > NOW);

    /* One wrong among them: none is decided about. In an hour of which nothing
     * is used, and which no other has taken the place of. */
    const uint64_t later = decisions[0].unix_s + 3600;
    uint64_t used = 1;
    OK(tk_key_used(engine, id_of(key), later, &used));
    CHECK(used == 0);
    requests[MANY - 1].client_len = 3;
    for (size_t i = 0; i < MANY; i++) {
        decisions[i] = admitting();
    }
    ANSWERS(TK_ERR_VALUE, tk_decide_batch_at(engine, requests, MANY, later, decisions));
    for (size_t i = 0; i < MANY; i++) {
        CHECK(is_unusable(&decisions[i]));
    }
    OK(tk_key_used(engine, id_of(key), later, &used));
    CHECK(used == 0);
    requests[MANY - 1] = asking(key);
    requests[1].size += 8;
    ANSWERS(TK_ERR_STRUCT, tk_decide_batch(engine, requests, MANY, decisions));

    /* Counts. */
    decisions[0] = admitting();
    OK(tk_decide_batch(engine, NULL, 0, NULL));
    ANSWERS(TK_ERR_LENGTH, tk_decide_batch(engine, requests, SIZE_MAX, decisions));
    ANSWERS(TK_ERR_LENGTH, tk_decide_batch(engine, requests, SIZE_MAX / 100, decisions));
    ANSWERS(TK_ERR_NULL, tk_decide_batch(engine, NULL, 1, decisions));
    CHECK(is_unusable(&decisions[0]));

    /* No place for the decisions: of an engine that lives, is NULL, was freed. */
    OK(tk_engine_free(twin));
    tk_engine *const engines[] = {engine, NULL, twin};
    const size_t counts[] = {1, 2, MANY};
    for (size_t i = 0; i < 3; i++) {
        const tk_result wanted = i == 0 ? TK_ERR_NULL : TK_ERR_ENGINE;
        for (size_t j = 0; j < 3; j++) {
            ANSWERS(wanted, tk_decide_batch(engines[i], requests, counts[j], NULL));
            ANSWERS(wanted, tk_decide_batch_at(engines[i], requests, counts[j], NOW, NULL));
        }
    }
    OK(tk_engine_free(engine));
}
