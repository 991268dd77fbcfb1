/*
 * The engine of each worker.
 *
 * The master checks the configuration with an engine that it throws away, so
 * that "nginx -t" tells what is wrong. A worker makes its own after the fork,
 * follows the store with a thread of the library, and shares the ledger's
 * counts with the others. Where it cannot, it says why and denies everything.
 */

#include "ngx_http_tokenkit.h"


static ngx_int_t tokenkit_make(tokenkit_main_conf_t *tkmcf, ngx_str_t ledger,
    tk_engine **engine);
static ngx_int_t tokenkit_start(ngx_cycle_t *cycle);
static ngx_int_t tokenkit_deny_all(ngx_cycle_t *cycle);
static void tokenkit_free(void *data);


/* While the configuration is read, by the master or "nginx -t". */
char *
tokenkit_check(ngx_conf_t *cf, tokenkit_main_conf_t *tkmcf)
{
    char             *rv;
    ngx_str_t         ledger;
    tk_engine        *engine;
    ngx_file_info_t   fi;

    rv = tokenkit_find_store(cf, tkmcf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ledger = tkmcf->ledger;

    if (ledger.len && ngx_file_info(ledger.data, &fi) == NGX_FILE_ERROR) {
        /* A worker makes it, so that it is the workers' own. */
        ngx_str_null(&ledger);
    }

    engine = NULL;
    rv = NGX_CONF_OK;

    if (tokenkit_make(tkmcf, ledger, &engine) != NGX_OK
        || tk_store_check(engine, tokenkit_bytes(tkmcf->store)) != TK_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tokenkit: %s", tk_last_error());
        rv = NGX_CONF_ERROR;
    }

    if (engine) {
        (void) tk_engine_free(engine);
    }

    return rv;
}


ngx_int_t
tokenkit_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        /* Those that tend the cache take no requests. */
        return NGX_OK;
    }

    return tokenkit_start(cycle);
}


static ngx_int_t
tokenkit_start(ngx_cycle_t *cycle)
{
    tk_engine             *engine;
    ngx_pool_cleanup_t    *cleanup;
    tokenkit_main_conf_t  *tkmcf;

    tkmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_tokenkit_module);

    if (tkmcf == NULL || tkmcf->store.len == 0) {
        return NGX_OK;
    }

    cleanup = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cleanup == NULL) {
        return NGX_ERROR;
    }

    if (tokenkit_make(tkmcf, tkmcf->ledger, &engine) != NGX_OK) {
        return tokenkit_deny_all(cycle);
    }

    tkmcf->engine = engine;
    cleanup->handler = tokenkit_free;
    cleanup->data = tkmcf;

    if (tk_engine_follow(engine, tokenkit_bytes(tkmcf->store)) != TK_OK) {
        /* It may hold a part of the keys. */
        (void) tokenkit_deny_all(cycle);
        tokenkit_free(tkmcf);
        return NGX_OK;
    }

    return tokenkit_watch(cycle, tkmcf);
}


/*
 * The worker stays: were it to end, nginx would start the next at once, and
 * what wants no key would not be served either. Without an engine it denies.
 */
static ngx_int_t
tokenkit_deny_all(ngx_cycle_t *cycle)
{
    ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                  "tokenkit denies all requests: %s", tk_last_error());

    return NGX_OK;
}


static void
tokenkit_free(void *data)
{
    tokenkit_main_conf_t  *tkmcf = data;

    tokenkit_unwatch(tkmcf);

    (void) tk_engine_free(tkmcf->engine);
    tkmcf->engine = NULL;
}


tk_engine *
tokenkit_engine(ngx_http_request_t *r)
{
    tokenkit_main_conf_t  *tkmcf;

    tkmcf = ngx_http_get_module_main_conf(r, ngx_http_tokenkit_module);

    return tkmcf->engine;
}


static ngx_int_t
tokenkit_make(tokenkit_main_conf_t *tkmcf, ngx_str_t ledger,
    tk_engine **engine)
{
    tk_config  config;

    tk_config_init(&config);

    config.secret_file = tokenkit_bytes(tkmcf->secret);
    config.prefixes = tokenkit_bytes(tkmcf->prefixes);
    config.origins = tokenkit_bytes(tkmcf->origins);
    config.exempt = tokenkit_bytes(tkmcf->exempt);
    config.realm = tokenkit_bytes(tkmcf->realm);
    config.ledger = tokenkit_bytes(ledger);
    config.threshold = tkmcf->threshold;
    config.window_s = tkmcf->window_s;
    config.block_s = tkmcf->block_s;
    config.max_addresses = tkmcf->max_addresses;
    config.max_keys = tkmcf->max_keys;
    config.preflight_max_age_s = tkmcf->preflight_max_age_s;
    config.omit_x_ratelimit = tkmcf->legacy_headers ? 0 : 1;

    return tk_engine_new(&config, engine) == TK_OK ? NGX_OK : NGX_ERROR;
}
