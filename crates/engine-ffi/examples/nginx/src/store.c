/*
 * Where the keys are: the key store and the server secret, as the command line
 * of tokenkit keeps them in one folder.
 */

#include "ngx_http_tokenkit.h"


#define TOKENKIT_STORE_NAME   "tokenkit.db"
#define TOKENKIT_SECRET_NAME  "tokenkit.secret"


static ngx_int_t tokenkit_beside(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t folder, const char *name);
static ngx_str_t tokenkit_folder_of(ngx_str_t path);
static ngx_int_t tokenkit_must_exist(ngx_conf_t *cf, const char *what,
    ngx_str_t *path);


/*
 * Finds what the directive left out: of a folder, the store in it; and the
 * secret beside the store.
 */
char *
tokenkit_find_store(ngx_conf_t *cf, tokenkit_main_conf_t *tkmcf)
{
    ngx_str_t        folder;
    ngx_file_info_t  fi;

    folder = tokenkit_folder_of(tkmcf->store);

    if (ngx_file_info(tkmcf->store.data, &fi) != NGX_FILE_ERROR
        && ngx_is_dir(&fi))
    {
        folder = tkmcf->store;

        if (tokenkit_beside(cf, &tkmcf->store, folder, TOKENKIT_STORE_NAME)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (tkmcf->secret.len == 0
        && tokenkit_beside(cf, &tkmcf->secret, folder, TOKENKIT_SECRET_NAME)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (tokenkit_must_exist(cf, "key store", &tkmcf->store) != NGX_OK
        || tokenkit_must_exist(cf, "server secret", &tkmcf->secret) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
tokenkit_must_exist(ngx_conf_t *cf, const char *what, ngx_str_t *path)
{
    ngx_file_info_t  fi;

    if (ngx_file_info(path->data, &fi) != NGX_FILE_ERROR) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                  "tokenkit: there is no %s \"%V\": \"tokenkit key create\" "
                  "makes one, and \"tokenkit_store\" says where it is",
                  what, path);

    return NGX_ERROR;
}


/* Ends with a NUL, for the system's calls. */
static ngx_int_t
tokenkit_beside(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t folder,
    const char *name)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(name);

    p = ngx_pnalloc(cf->pool, folder.len + 1 + len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;
    path->len = folder.len + 1 + len;
    ngx_sprintf(p, "%V/%s%Z", &folder, name);

    return NGX_OK;
}


/* Paths are absolute here, and so have a slash. */
static ngx_str_t
tokenkit_folder_of(ngx_str_t path)
{
    while (path.len > 1 && path.data[path.len - 1] != '/') {
        path.len--;
    }

    path.len--;

    return path;
}
