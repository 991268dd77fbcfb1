/* How engines come and go: handles, fork, threads. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static tk_result decide(tk_engine *engine, const char *key, tk_decision *decision) {
    tk_request request = asking(key);
    *decision = admitting();
    return tk_decide_at(engine, &request, NOW, decision);
}

/* A handle that leads nowhere: every function says so, and denies. */
static void leads_nowhere(tk_result wanted, tk_engine *engine) {
    char space[TK_SPACE];
    unsigned char digest[TK_DIGEST_LEN];
    uint64_t units = 0;
    tk_decision decision;
    tk_answer answer;
    tk_str text;
    tk_metrics metrics;
    tk_key key = key_of_p1();
    tk_session session;
    tk_session_init(&session);
    session.project = session.user = session.token = tk_text("x");
    tk_metrics_init(&metrics);
    tk_bytes id = tk_text("0000000000"), x = tk_text("x"), none = tk_text(NULL);

    ANSWERS(wanted, decide(engine, "x", &decision));
    CHECK(is_unusable(&decision));
    tk_request request = asking("x");
    decision = admitting();
    ANSWERS(wanted, tk_decide_batch(engine, &request, 1, &decision));
    CHECK(is_unusable(&decision));
    decision = admitting();
    ANSWERS(wanted, tk_render(engine, &decision, none, space, sizeof space, &answer));
    CHECK(is_503(&answer));
    ANSWERS(wanted, tk_preflight(engine, x, x, none, space, sizeof space, &answer));
    ANSWERS(wanted, tk_identity(engine, &decision, space, sizeof space, &answer));
    ANSWERS(wanted, tk_project(engine, &decision, space, sizeof space, &text));
    ANSWERS(wanted, tk_keys_put(engine, &key, 1));
    ANSWERS(wanted, tk_key_mint(engine, none, &key, space, sizeof space));
    ANSWERS(wanted, tk_key_remove(engine, id));
    ANSWERS(wanted, tk_key_set_state(engine, id, TK_STATE_REVOKED, NULL));
    ANSWERS(wanted, tk_key_set_limit(engine, id, 1));
    ANSWERS(wanted, tk_key_used(engine, id, NOW, &units));
    ANSWERS(wanted, tk_key_digest(engine, x, digest));
    ANSWERS(wanted, tk_sessions_put(engine, &session, 1));
    ANSWERS(wanted, tk_session_end(engine, x, NULL));
    ANSWERS(wanted, tk_token_digest(engine, x, digest));
    session.token = none;
    ANSWERS(wanted, tk_session_mint(engine, &session, space, sizeof space));
    ANSWERS(wanted, tk_unblock(engine, tk_text("192.0.2.7"), NOW, NULL));
    ANSWERS(wanted, tk_engine_follow(engine, x));
    ANSWERS(wanted, tk_store_check(engine, x));
    ANSWERS(wanted, tk_engine_trouble(engine, space, sizeof space, &text));
    ANSWERS(wanted, tk_engine_tidy(engine));
    ANSWERS(wanted, tk_metrics_read(engine, &metrics));
}

void test_handles(void) {
    leads_nowhere(TK_ERR_ENGINE, NULL);
    ANSWERS(TK_ERR_ENGINE, tk_engine_free(NULL));

    /* One that was freed, also when another engine has taken its place. */
    char key[TK_KEY_SPACE];
    tk_engine *engine = small_engine();
    mint(engine, TK_UNLIMITED, key);
    OK(tk_engine_free(engine));
    leads_nowhere(TK_ERR_ENGINE, engine);
    TOLD("was freed");
    ANSWERS(TK_ERR_ENGINE, tk_engine_free(engine));
    tk_engine *next = small_engine();
    CHECK(next != engine);
    leads_nowhere(TK_ERR_ENGINE, engine);
    ANSWERS(TK_ERR_ENGINE, tk_engine_free(engine));

    /* Those that never were. */
    leads_nowhere(TK_ERR_ENGINE, (tk_engine *)(void *)key);
    leads_nowhere(TK_ERR_ENGINE, (tk_engine *)(uintptr_t)1);
    leads_nowhere(TK_ERR_ENGINE, (tk_engine *)((uintptr_t)next + 256));
    ANSWERS(TK_ERR_ENGINE, tk_engine_free((tk_engine *)(void *)key));
    OK(tk_engine_free(next));

    /* As many as there is room for; the one more is refused. */
    enum { MOST = 256 };
    static tk_engine *engines[MOST];
    tk_config config = small_config();
    config.max_keys = 1;
    config.max_addresses = 1;
    for (int i = 0; i < MOST; i++) {
        OK(tk_engine_new(&config, &engines[i]));
    }
    tk_engine *more = NULL;
    ANSWERS(TK_ERR_FULL, tk_engine_new(&config, &more));
    CHECK(more == NULL);
    for (int i = 0; i < MOST; i++) {
        OK(tk_engine_free(engines[i]));
    }
}

/* Runs a part of the test in a child, and waits until it has succeeded. */
static void in_child(void (*part)(tk_engine *, const char *), tk_engine *engine,
                     const char *key) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        part(engine, key);
        exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void grandchild(tk_engine *engine, const char *key) {
    tk_decision decision;
    ANSWERS(TK_ERR_FORKED, decide(engine, key, &decision));
    CHECK(is_unusable(&decision));
    OK(tk_engine_free(engine));
}

static void child(tk_engine *engine, const char *key) {
    tk_decision decision;
    ANSWERS(TK_ERR_FORKED, decide(engine, key, &decision));
    CHECK(is_unusable(&decision));
    TOLD("after fork");
    leads_nowhere(TK_ERR_FORKED, engine);

    /* One of its own, beside that of the parent and in its place. */
    tk_engine *own = small_engine();
    tk_key same = key_of_p1();
    same.secret = tk_text(key);
    OK(tk_keys_put(own, &same, 1));
    OK(decide(own, key, &decision));
    CHECK(decision.status == 200);
    ANSWERS(TK_ERR_FORKED, decide(engine, key, &decision));
    OK(tk_engine_free(engine));
    leads_nowhere(TK_ERR_ENGINE, engine);
    in_child(grandchild, own, key);
    OK(decide(own, key, &decision));
    OK(tk_engine_free(own));
}

void test_fork(void) {
    char key[TK_KEY_SPACE];
    tk_engine *engine = small_engine();
    mint(engine, 4, key);
    tk_decision decision;
    OK(decide(engine, key, &decision));
    in_child(child, engine, key);
    in_child(child, engine, key);
    OK(decide(engine, key, &decision));
    CHECK(decision.remaining == 2);
    OK(tk_engine_free(engine));
}

enum { THREADS = 4, EACH = 500 };

struct work {
    tk_engine *engine;
    const char *key;
    int admitted;
    int ended;
};

/* Decides, and counts what is admitted. */
static void *asks(void *given) {
    struct work *work = (struct work *)given;
    for (int i = 0; i < EACH; i++) {
        tk_decision decision;
        OK(decide(work->engine, work->key, &decision));
        work->admitted += decision.reason == TK_REASON_ALLOWED;
    }
    return NULL;
}

/* Decides until the engine is gone, which another thread frees meanwhile. */
static void *asks_to_the_end(void *given) {
    struct work *work = (struct work *)given;
    for (;;) {
        tk_decision decision;
        tk_result result = decide(work->engine, work->key, &decision);
        if (result != TK_OK) {
            CHECK(result == TK_ERR_ENGINE && is_unusable(&decision));
            work->ended = 1;
            return NULL;
        }
        CHECK(decision.reason == TK_REASON_ALLOWED);
        work->admitted++;
    }
}

static void *frees(void *given) {
    struct work *work = (struct work *)given;
    work->admitted = tk_engine_free(work->engine) == TK_OK;
    return NULL;
}

static void run(void *(*part)(void *), struct work *works, int count, pthread_t *threads) {
    for (int i = 0; i < count; i++) {
        CHECK(pthread_create(&threads[i], NULL, part, &works[i]) == 0);
    }
}

static int joined(struct work *works, int count, const pthread_t *threads) {
    int admitted = 0;
    for (int i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        admitted += works[i].admitted;
    }
    return admitted;
}

static void prepare(struct work *works, tk_engine *engine, const char *key) {
    for (int i = 0; i < THREADS; i++) {
        works[i].engine = engine;
        works[i].key = key;
        works[i].admitted = works[i].ended = 0;
    }
}

void test_threads(void) {
    char key[TK_KEY_SPACE];
    struct work works[THREADS];
    pthread_t threads[THREADS];

    /* One limit among all threads, to the unit. */
    tk_engine *engine = small_engine();
    mint(engine, THREADS * EACH / 2, key);
    prepare(works, engine, key);
    run(asks, works, THREADS, threads);
    CHECK(joined(works, THREADS, threads) == THREADS * EACH / 2);
    OK(tk_engine_free(engine));

    /* Freed while others decide. */
    for (int round = 0; round < 20; round++) {
        engine = small_engine();
        mint(engine, TK_UNLIMITED, key);
        prepare(works, engine, key);
        run(asks_to_the_end, works, THREADS, threads);
        struct timespec moment = {0, 1000000};
        nanosleep(&moment, NULL);
        OK(tk_engine_free(engine));
        joined(works, THREADS, threads);
        for (int i = 0; i < THREADS; i++) {
            CHECK(works[i].ended == 1);
        }
    }

    /* Freed by several: one of them does it. */
    engine = small_engine();
    prepare(works, engine, key);
    run(frees, works, THREADS, threads);
    CHECK(joined(works, THREADS, threads) == 1);

    /* The last error is each thread's own. */
    tk_decision decision;
    ANSWERS(TK_ERR_ENGINE, decide(NULL, key, &decision));
    const char *mine = tk_last_error();
    engine = small_engine();
    prepare(works, engine, key);
    OK(tk_engine_free(engine));
    run(frees, works, THREADS, threads);
    CHECK(joined(works, THREADS, threads) == 0);
    CHECK(strstr(mine, "the engine is NULL") != NULL);
}
