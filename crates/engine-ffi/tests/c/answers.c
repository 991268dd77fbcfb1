/* Answers over HTTP, and numbers for whoever watches. */

#include "check.h"

static tk_decision decided(tk_engine *engine, const tk_request *request) {
    tk_decision decision = admitting();
    OK(tk_decide_at(engine, request, NOW, &decision));
    return decision;
}

static void test_render(tk_engine *engine, const tk_request *request) {
    char space[TK_SPACE];
    tk_answer answer;
    tk_decision allowed = decided(engine, request);
    OK(tk_render(engine, &allowed, request->origin, space, sizeof space, &answer));
    CHECK(answer.status == 200 && answer.body.len == 0 && answer.content_type.len == 0);
    CHECK(strcmp(header_of(&answer, "vary"), "Origin") == 0);
    CHECK(strcmp(header_of(&answer, "ratelimit-policy"), "\"hour\";q=1;w=3600") == 0);
    CHECK(strcmp(header_of(&answer, "ratelimit"), "\"hour\";r=0;t=2800") == 0);
    CHECK(strcmp(header_of(&answer, "x-ratelimit-reset"), "1790002800") == 0);
    CHECK(strcmp(header_of(&answer, "access-control-allow-origin"), "https://app.example.com") == 0);
    CHECK(header_of(&answer, "cache-control") == NULL);

    tk_decision refused = decided(engine, request);
    OK(tk_render(engine, &refused, tk_text(NULL), space, sizeof space, &answer));
    CHECK(answer.status == 429);
    CHECK(strcmp(header_of(&answer, "retry-after"), "2800") == 0);
    CHECK(strcmp(header_of(&answer, "cache-control"), "no-store") == 0);
    CHECK(header_of(&answer, "access-control-allow-origin") == NULL);
    CHECK(strcmp(answer.content_type.data, "application/problem+json") == 0);
    CHECK(answer.body.len == strlen(answer.body.data));
    CHECK(strstr(answer.body.data, "\"reason\":\"hourly_limit\"") != NULL);

    /* Too little space, by each byte: it is said how much is wanted. */
    size_t room = 0;
    while (tk_render(engine, &refused, tk_text(NULL), space, room, &answer) != TK_OK) {
        CHECK(is_503(&answer));
        TOLD("this answer wants");
        room++;
    }
    CHECK(answer.status == 429 && room > 400 && room < TK_SPACE);
    ANSWERS(TK_ERR_NULL, tk_render(engine, &refused, tk_text(NULL), NULL, 100, &answer));
    CHECK(is_503(&answer));

    /* Misuse is answered with a 503. */
    tk_decision none;
    memset(&none, 0, sizeof none);
    OK(tk_render(engine, &none, tk_text(NULL), space, sizeof space, &answer));
    CHECK(is_503(&answer));
    none.reason = TK_REASON_UNUSABLE;
    OK(tk_render(NULL, &none, tk_text(NULL), NULL, 0, &answer));
    CHECK(is_503(&answer));
    none.reason = 99;
    OK(tk_render(engine, &none, tk_text(NULL), space, sizeof space, &answer));
    CHECK(is_503(&answer));
    ANSWERS(TK_ERR_ENGINE, tk_render(NULL, &allowed, tk_text(NULL), space, sizeof space, &answer));
    CHECK(is_503(&answer));
    ANSWERS(TK_ERR_NULL, tk_render(engine, NULL, tk_text(NULL), space, sizeof space, &answer));
    CHECK(is_503(&answer));
    ANSWERS(TK_ERR_LENGTH,
            tk_render(engine, &allowed, tk_bytes_of("x", SIZE_MAX), space, sizeof space, &answer));
    CHECK(is_503(&answer));
    ANSWERS(TK_ERR_LENGTH, tk_render(engine, &allowed, tk_text(NULL), space, SIZE_MAX, &answer));
    CHECK(is_503(&answer));
    ANSWERS(TK_ERR_NULL, tk_render(engine, &allowed, tk_text(NULL), space, sizeof space, NULL));
    unsigned char place[sizeof(tk_answer) + 1];
    ANSWERS(TK_ERR_MISALIGNED, tk_render(engine, &allowed, tk_text(NULL), space, sizeof space,
                                         OFF_BY_ONE(tk_answer, place)));
    memcpy(&answer, place + 1, sizeof answer);
    CHECK(is_503(&answer));

    /* An origin that would break a header is not told. */
    refused.allow_origin = 1;
    OK(tk_render(engine, &refused, tk_text("https://a\r\nset-cookie: x"), space, sizeof space,
                 &answer));
    CHECK(header_of(&answer, "access-control-allow-origin") == NULL);
}

static void test_preflight(tk_engine *engine) {
    char space[TK_SPACE];
    tk_answer answer;
    tk_bytes origin = tk_text("https://console.example.com"), method = tk_text("POST");
    OK(tk_preflight(engine, origin, method, tk_text("x-trace, api-key"), space, sizeof space,
                    &answer));
    CHECK(answer.status == 204 && answer.body.len == 0);
    CHECK(strcmp(header_of(&answer, "access-control-allow-methods"), "POST") == 0);
    CHECK(strcmp(header_of(&answer, "access-control-allow-headers"),
                 "api-key, authorization, x-trace") == 0);
    CHECK(strcmp(header_of(&answer, "access-control-max-age"), "600") == 0);
    OK(tk_preflight(engine, tk_text("https://app.example.com"), method, tk_text(NULL), space,
                    sizeof space, &answer));
    CHECK(header_of(&answer, "access-control-allow-origin") != NULL);
    OK(tk_preflight(engine, tk_text("https://evil.example.com"), method, tk_text(NULL), space,
                    sizeof space, &answer));
    CHECK(answer.status == 204 && header_of(&answer, "access-control-allow-origin") == NULL);
    ANSWERS(TK_ERR_NULL, tk_preflight(engine, tk_text(NULL), method, tk_text(NULL), space,
                                      sizeof space, &answer));
    CHECK(is_503(&answer));
    ANSWERS(TK_ERR_NULL, tk_preflight(engine, origin, tk_text(NULL), tk_text(NULL), space,
                                      sizeof space, &answer));
    ANSWERS(TK_ERR_SPACE,
            tk_preflight(engine, origin, method, tk_text(NULL), space, 40, &answer));
    ANSWERS(TK_ERR_ENGINE, tk_preflight(NULL, origin, method, tk_text(NULL), space, sizeof space,
                                        &answer));
    CHECK(is_503(&answer));
}

static void test_identity(tk_engine *engine, tk_request *request, const char *token) {
    char space[TK_SPACE];
    tk_answer headers;
    request->bearer = tk_text(token);
    tk_decision decision = decided(engine, request);
    CHECK(decision.status == 200);
    OK(tk_identity(engine, &decision, space, sizeof space, &headers));
    CHECK(headers.header_count == 3);
    CHECK(strcmp(header_of(&headers, "x-tokenkit-key"), decision.key_id) == 0);
    CHECK(strcmp(header_of(&headers, "x-tokenkit-project"), "p1") == 0);
    CHECK(strcmp(header_of(&headers, "x-tokenkit-user"), "ada") == 0);

    /* What was written into a decision by hand gets into no header. */
    tk_decision forged = decision;
    memset(forged.user, 'x', sizeof forged.user);
    memcpy(forged.key_id, "a\r\nb: c", 8);
    OK(tk_identity(engine, &forged, space, sizeof space, &headers));
    CHECK(headers.header_count == 1);

    tk_str project = {"as it was", 9};
    OK(tk_project(engine, &decision, space, sizeof space, &project));
    CHECK(strcmp(project.data, "p1") == 0 && project.len == 2);
    ANSWERS(TK_ERR_SPACE, tk_project(engine, &decision, space, 2, &project));
    ANSWERS(TK_ERR_NULL, tk_project(engine, NULL, space, sizeof space, &project));
    ANSWERS(TK_ERR_NULL, tk_project(engine, &decision, space, sizeof space, NULL));
    ANSWERS(TK_ERR_ENGINE, tk_project(NULL, &decision, space, sizeof space, &project));
    CHECK(project.len == 2);
    ANSWERS(TK_ERR_SPACE, tk_identity(engine, &decision, space, 30, &headers));
    CHECK(is_503(&headers));
    ANSWERS(TK_ERR_ENGINE, tk_identity(NULL, &decision, space, sizeof space, &headers));
    CHECK(is_503(&headers));

    tk_request missing = asking(NULL);
    decision = decided(engine, &missing);
    OK(tk_identity(engine, &decision, space, sizeof space, &headers));
    CHECK(headers.status == 401 && headers.header_count == 0);
    OK(tk_project(engine, &decision, space, sizeof space, &project));
    CHECK(project.len == 0);
    memset(&decision, 0, sizeof decision);
    OK(tk_identity(engine, &decision, space, sizeof space, &headers));
    CHECK(headers.status == 503 && headers.header_count == 0);
}

void test_answers(void) {
    tk_config config = small_config();
    config.origins = tk_text("https://console.example.com");
    tk_engine *engine = NULL;
    OK(tk_engine_new(&config, &engine));
    char key[TK_KEY_SPACE], token[TK_TOKEN_SPACE];
    mint(engine, 1, key);
    tk_key listed = key_of_p1();
    listed.secret = tk_text(key);
    listed.hourly_limit = 1;
    listed.origins = tk_text("https://app.example.com");
    OK(tk_keys_put(engine, &listed, 1));
    tk_request request = asking(key);
    request.origin = tk_text("https://app.example.com");
    test_render(engine, &request);
    test_preflight(engine);

    OK(tk_key_set_limit(engine, id_of(key), TK_UNLIMITED));
    tk_session session;
    tk_session_init(&session);
    session.project = tk_text("p1");
    session.user = tk_text("ada");
    OK(tk_session_mint(engine, &session, token, sizeof token));
    test_identity(engine, &request, token);

    CHECK(tk_header_is_reserved(tk_text("X_Tokenkit.User")) == 1);
    CHECK(tk_header_is_reserved(tk_text("api-key")) == 1);
    CHECK(tk_header_is_reserved(tk_text("host")) == 0);
    CHECK(tk_header_is_reserved(tk_text("")) == 0);
    CHECK(tk_header_is_reserved(tk_text(NULL)) == 1);
    CHECK(tk_header_is_reserved(tk_bytes_of("x", SIZE_MAX)) == 1);
    OK(tk_engine_free(engine));

    /* Another realm, without the older headers. */
    config = small_config();
    config.realm = tk_text("shop");
    config.omit_x_ratelimit = 1;
    OK(tk_engine_new(&config, &engine));
    mint(engine, 1, key);
    char space[TK_SPACE];
    tk_answer answer;
    request = asking(key);
    tk_decision decision = decided(engine, &request);
    OK(tk_render(engine, &decision, tk_text(NULL), space, sizeof space, &answer));
    CHECK(header_of(&answer, "ratelimit") && !header_of(&answer, "x-ratelimit-limit"));
    request = asking(NULL);
    decision = decided(engine, &request);
    OK(tk_render(engine, &decision, tk_text(NULL), space, sizeof space, &answer));
    CHECK(strcmp(header_of(&answer, "www-authenticate"), "api-key realm=\"shop\"") == 0);
    OK(tk_engine_free(engine));
}

void test_metrics(void) {
    tk_engine *engine = small_engine();
    char key[TK_KEY_SPACE];
    mint(engine, 2, key);
    tk_request request = asking(key), wrong = asking(key);
    for (int i = 0; i < 3; i++) {
        decided(engine, &request);
    }
    tk_decision decision;
    wrong.client_len = 1;
    ANSWERS(TK_ERR_VALUE, tk_decide(engine, &wrong, &decision));
    tk_metrics metrics;
    tk_metrics_init(&metrics);
    OK(tk_metrics_read(engine, &metrics));
    CHECK(metrics.keys == 1 && metrics.sessions == 0 && metrics.blocked_addresses == 0);
    CHECK(metrics.decisions[TK_REASON_ALLOWED] == 2);
    CHECK(metrics.decisions[TK_REASON_HOURLY_LIMIT] == 1);
    CHECK(metrics.decisions[0] == 1);
    CHECK(metrics.follows == 0 && metrics.store_lag_ms == 0 && metrics.ledger_fault == 0);
    uint64_t sum = 0;
    for (int i = 0; i < TK_REASONS; i++) {
        sum += metrics.decisions[i];
    }
    CHECK(sum == 4);

    /* Read by a program with a larger struct, of a header to come. */
    union {
        tk_metrics now;
        unsigned char bytes[sizeof(tk_metrics) + 16];
    } later;
    memset(&later, 0, sizeof later);
    later.now.size = sizeof later.bytes;
    OK(tk_metrics_read(engine, &later.now));
    CHECK(later.now.keys == 1 && later.now.size == sizeof later.bytes);

    metrics.keys = 77;
    ANSWERS(TK_ERR_ENGINE, tk_metrics_read(NULL, &metrics));
    ANSWERS(TK_ERR_NULL, tk_metrics_read(engine, NULL));
    metrics.size = 0;
    ANSWERS(TK_ERR_STRUCT, tk_metrics_read(engine, &metrics));
    CHECK(metrics.keys == 77);

    char space[TK_SPACE];
    tk_str trouble = {"as it was", 9};
    OK(tk_engine_trouble(engine, space, sizeof space, &trouble));
    CHECK(trouble.len == 0 && trouble.data[0] == 0);
    ANSWERS(TK_ERR_SPACE, tk_engine_trouble(engine, space, 0, &trouble));
    ANSWERS(TK_ERR_NULL, tk_engine_trouble(engine, space, sizeof space, NULL));
    ANSWERS(TK_ERR_ENGINE, tk_engine_trouble(NULL, space, sizeof space, &trouble));
    OK(tk_engine_tidy(engine));
    ANSWERS(TK_ERR_ENGINE, tk_engine_tidy(NULL));
    OK(tk_engine_free(engine));
}
