/*
 * The module as nginx sees it: its settings, how they are handed down, and
 * where it stands on a request's way.
 */

#include "ngx_http_tokenkit.h"


static ngx_int_t tokenkit_preconfiguration(ngx_conf_t *cf);
static ngx_int_t tokenkit_postconfiguration(ngx_conf_t *cf);
static void *tokenkit_create_main_conf(ngx_conf_t *cf);
static char *tokenkit_init_main_conf(ngx_conf_t *cf, void *conf);
static void *tokenkit_create_loc_conf(ngx_conf_t *cf);
static char *tokenkit_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_http_module_t  tokenkit_module_ctx = {
    tokenkit_preconfiguration,             /* preconfiguration */
    tokenkit_postconfiguration,            /* postconfiguration */

    tokenkit_create_main_conf,             /* create main configuration */
    tokenkit_init_main_conf,               /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    tokenkit_create_loc_conf,              /* create location configuration */
    tokenkit_merge_loc_conf                /* merge location configuration */
};


ngx_module_t  ngx_http_tokenkit_module = {
    NGX_MODULE_V1,
    &tokenkit_module_ctx,                  /* module context */
    tokenkit_commands,                     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    tokenkit_init_process,                 /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
tokenkit_preconfiguration(ngx_conf_t *cf)
{
    return tokenkit_add_variables(cf);
}


static ngx_int_t
tokenkit_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *handler;
    tokenkit_main_conf_t       *tkmcf;
    ngx_http_core_main_conf_t  *cmcf;

    tkmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tokenkit_module);

    if (tkmcf->store.len == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = tokenkit_handler;

    tokenkit_add_header_filter();

    return NGX_OK;
}


static void *
tokenkit_create_main_conf(ngx_conf_t *cf)
{
    tokenkit_main_conf_t  *tkmcf;

    tkmcf = ngx_pcalloc(cf->pool, sizeof(tokenkit_main_conf_t));
    if (tkmcf == NULL) {
        return NULL;
    }

    tkmcf->legacy_headers = NGX_CONF_UNSET;

    return tkmcf;
}


static char *
tokenkit_init_main_conf(ngx_conf_t *cf, void *conf)
{
    tokenkit_main_conf_t  *tkmcf = conf;

    if (tkmcf->store.len == 0) {
        /* Nothing is switched on: see merge. */
        return NGX_CONF_OK;
    }

    ngx_conf_init_value(tkmcf->legacy_headers, 1);

    return tokenkit_check(cf, tkmcf);
}


static void *
tokenkit_create_loc_conf(ngx_conf_t *cf)
{
    tokenkit_loc_conf_t  *tklcf;

    tklcf = ngx_pcalloc(cf->pool, sizeof(tokenkit_loc_conf_t));
    if (tklcf == NULL) {
        return NULL;
    }

    tklcf->enable = NGX_CONF_UNSET;
    tklcf->needs_user = NGX_CONF_UNSET;
    tklcf->forward_key = NGX_CONF_UNSET;
    tklcf->cost = NGX_CONF_UNSET;

    return tklcf;
}


static char *
tokenkit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    tokenkit_loc_conf_t   *prev = parent;
    tokenkit_loc_conf_t   *conf = child;
    tokenkit_main_conf_t  *tkmcf;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_value(conf->needs_user, prev->needs_user, 0);
    ngx_conf_merge_value(conf->forward_key, prev->forward_key, 0);
    ngx_conf_merge_value(conf->cost, prev->cost, 1);

    tkmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tokenkit_module);

    if (conf->enable && tkmcf->store.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"tokenkit on\" wants a \"tokenkit_store\" "
                      "in the http block, to know any keys");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
