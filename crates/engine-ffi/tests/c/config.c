/* Configurations: what is taken, and what is refused with a word on why. */

#include "check.h"

/* A configuration that must be refused; the handle stays as it was. */
static void refused(tk_result wanted, const char *told, const tk_config *config) {
    tk_engine *mark = (tk_engine *)(void *)&mark;
    tk_engine *engine = mark;
    ANSWERS(wanted, tk_engine_new(config, &engine));
    CHECK(engine == mark);
    TOLD(told);
}

void test_config(void) {
    tk_engine *engine = NULL;
    tk_config config = small_config();
    union {
        tk_config aligned;
        unsigned char bytes[sizeof(tk_config) + 16];
    } room;

    /* NULL and misaligned. */
    ANSWERS(TK_ERR_NULL, tk_engine_new(NULL, &engine));
    TOLD("tk_config is NULL");
    ANSWERS(TK_ERR_NULL, tk_engine_new(&config, NULL));
    memset(&room, 0, sizeof room);
    memcpy(room.bytes + 1, &config, sizeof config);
    ANSWERS(TK_ERR_MISALIGNED, tk_engine_new(OFF_BY_ONE(tk_config, room.bytes), &engine));
    ANSWERS(TK_ERR_MISALIGNED, tk_engine_new(&config, OFF_BY_ONE(tk_engine *, room.bytes)));
    CHECK(engine == NULL);

    /* Sizes and versions. */
    memset(&config, 0, sizeof config);
    refused(TK_ERR_STRUCT, "size of 0 bytes", &config);
    config = small_config();
    config.size = (uint32_t)sizeof config - 8;
    refused(TK_ERR_STRUCT, "tk_config_init", &config);
    config.size = 1u << 30;
    refused(TK_ERR_STRUCT, "tk_config_init", &config);
    config = small_config();
    config.version = 2;
    refused(TK_ERR_STRUCT, "version 2", &config);
    config = small_config();
    config.reserved[3] = 1;
    refused(TK_ERR_STRUCT, "tk_config_init", &config);

    /* A larger one, of a header to come, is taken while what is new is zero. */
    memset(&room, 0, sizeof room);
    config = small_config();
    config.size = (uint32_t)sizeof room.bytes;
    memcpy(&room, &config, sizeof config);
    OK(tk_engine_new(&room.aligned, &engine));
    OK(tk_engine_free(engine));
    room.bytes[sizeof room.bytes - 1] = 1;
    refused(TK_ERR_STRUCT, "newer libtokenkit", &room.aligned);

    /* Secrets. */
    config = small_config();
    config.secret = tk_text(NULL);
    refused(TK_ERR_VALUE, "one of secret", &config);
    config.secret = tk_bytes_of("short", 5);
    refused(TK_ERR_LENGTH, "secret has 5 bytes", &config);
    config.secret = tk_bytes_of(NULL, 32);
    refused(TK_ERR_NULL, "secret is NULL", &config);
    config.secret = tk_bytes_of("x", SIZE_MAX);
    refused(TK_ERR_LENGTH, "secret is too long", &config);
    config = small_config();
    config.secret_file = tk_text("/nowhere/secret");
    refused(TK_ERR_VALUE, "one of secret", &config);
    config.secret = tk_text(NULL);
    refused(TK_ERR_VALUE, "/nowhere/secret", &config);

    /* Texts and numbers. */
    config = small_config();
    config.realm = tk_text("\xff\xfe");
    refused(TK_ERR_UTF8, "realm is not UTF-8", &config);
    config.realm = tk_text("a \"realm\"");
    refused(TK_ERR_VALUE, "realm", &config);
    config = small_config();
    config.prefixes = tk_text("tk_live UPPER");
    refused(TK_ERR_VALUE, "prefixes: ", &config);
    config.prefixes = tk_text(" , ");
    refused(TK_ERR_VALUE, "prefixes: ", &config);
    config = small_config();
    config.origins = tk_text("https://good.example ftp://bad/path");
    refused(TK_ERR_VALUE, "origins: ", &config);
    config = small_config();
    config.exempt = tk_text("192.0.2.0/33");
    refused(TK_ERR_VALUE, "exempt: ", &config);
    config = small_config();
    config.threshold = 5000;
    refused(TK_ERR_VALUE, "threshold is 5000", &config);
    config = small_config();
    config.window_s = 13;
    refused(TK_ERR_VALUE, "window_s is 13", &config);
    config = small_config();
    config.max_keys = 1u << 31;
    refused(TK_ERR_VALUE, "max_keys", &config);
    config = small_config();
    config.ledger = tk_text("/nowhere/ledger");
    refused(TK_ERR_LEDGER, "/nowhere/ledger", &config);

    /* All of it at once. */
    config = small_config();
    config.prefixes = tk_text("one,two\tthree");
    config.origins = tk_text("https://console.example.com, https://app.example.org");
    config.exempt = tk_text("192.0.2.0/24 2001:db8::/32");
    config.realm = tk_text("shop");
    config.threshold = 3;
    config.window_s = 24;
    config.block_s = 60;
    config.preflight_max_age_s = 5;
    config.omit_x_ratelimit = 1;
    OK(tk_engine_new(&config, &engine));
    char key[TK_KEY_SPACE];
    mint(engine, TK_UNLIMITED, key);
    CHECK(strncmp(key, "one_", 4) == 0);
    OK(tk_engine_free(engine));
}
