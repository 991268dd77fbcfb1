/*
 * The directives: what they are called, where they stand, what they take.
 *
 * What the engine checks by itself (prefixes, origins, address blocks, ranges)
 * is left to it: see engine.c, which asks it while the configuration is read.
 */

#include "ngx_http_tokenkit.h"


static char *tokenkit_conf_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *tokenkit_conf_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *tokenkit_conf_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


ngx_command_t  tokenkit_commands[] = {

    { ngx_string("tokenkit_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      tokenkit_conf_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_ledger"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_path,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, ledger),
      NULL },

    { ngx_string("tokenkit_prefixes"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, prefixes),
      NULL },

    { ngx_string("tokenkit_origins"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, origins),
      NULL },

    { ngx_string("tokenkit_failures"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_failures,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_failures_exempt"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      tokenkit_conf_list,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, exempt),
      NULL },

    { ngx_string("tokenkit_max_keys"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_max_keys,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_realm"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, realm),
      NULL },

    { ngx_string("tokenkit_legacy_headers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(tokenkit_main_conf_t, legacy_headers),
      NULL },

    { ngx_string("tokenkit_preflight_max_age"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_max_age,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(tokenkit_loc_conf_t, enable),
      NULL },

    { ngx_string("tokenkit_needs_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(tokenkit_loc_conf_t, needs_user),
      NULL },

    { ngx_string("tokenkit_cost"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      tokenkit_conf_cost,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tokenkit_forward_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(tokenkit_loc_conf_t, forward_key),
      NULL },

      ngx_null_command
};


/* tokenkit_store PATH [secret=PATH] */
static char *
tokenkit_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    tokenkit_main_conf_t  *tkmcf = conf;

    ngx_str_t  *value;

    (void) cmd;

    if (tkmcf->store.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    tkmcf->store = value[1];

    if (cf->args->nelts == 3) {
        if (ngx_strncmp(value[2].data, "secret=", sizeof("secret=") - 1) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\": \"secret=FILE\" is "
                               "all that may stand behind the store",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        tkmcf->secret.data = value[2].data + sizeof("secret=") - 1;
        tkmcf->secret.len = value[2].len - (sizeof("secret=") - 1);

        if (ngx_conf_full_name(cf->cycle, &tkmcf->secret, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_conf_full_name(cf->cycle, &tkmcf->store, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* A relative path counts from the folder of the configuration, as elsewhere. */
static char *
tokenkit_conf_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char       *rv;
    ngx_str_t  *path;

    rv = ngx_conf_set_str_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    path = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (path->len == 0) {
        return "wants a path";
    }

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* One text, as the library takes a list; a second directive adds to it. */
static char *
tokenkit_conf_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t       len;
    u_char      *p;
    ngx_str_t   *list, *value;
    ngx_uint_t   i;

    list = (ngx_str_t *) ((char *) conf + cmd->offset);
    value = cf->args->elts;
    len = list->len;

    for (i = 1; i < cf->args->nelts; i++) {
        len += 1 + value[i].len;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    value[0] = *list;
    list->data = p;
    list->len = len;

    for (i = 0; i < cf->args->nelts; i++) {

        if (value[i].len) {
            p = ngx_cpymem(p, value[i].data, value[i].len);
        }

        if (i + 1 < cf->args->nelts) {
            *p++ = ' ';
        }
    }

    return NGX_CONF_OK;
}
