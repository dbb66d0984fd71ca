/* libcurl for Swift: its variadic setters and getters, typed.
 *
 * Swift cannot call variadic C functions, so each kind of argument gets a function of its own. Everything else of
 * libcurl is imported as it is. */
#ifndef TURNPIKE_CCURL_H
#define TURNPIKE_CCURL_H

#include <curl/curl.h>
#include <stddef.h>
/* What waits for libcurl's sockets; Swift's Glibc module does not show them. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* A multi or an easy handle belongs to one thread; curl.h declares both as void. */
typedef int (*cc_socket_fn)(void *easy, int socket, int what, void *context, void *socket_context);
typedef int (*cc_timer_fn)(void *multi, long milliseconds, void *context);
typedef size_t (*cc_data_fn)(char *data, size_t size, size_t count, void *context);
typedef int (*cc_close_fn)(void *context, int socket);
typedef int (*cc_prereq_fn)(void *context, char *local, char *remote, int local_port, int remote_port);

/* Once, before any other call and before there are threads that use libcurl. */
static inline CURLcode cc_global_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

static inline CURLcode cc_set_long(void *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_offset(void *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_string(void *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_pointer(void *easy, CURLoption option, const void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_list(void *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_data_fn(void *easy, CURLoption option, cc_data_fn value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode cc_set_close_fn(void *easy, cc_close_fn value) {
    return curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, value);
}
static inline CURLcode cc_set_prereq_fn(void *easy, cc_prereq_fn value) {
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, value);
}

static inline CURLMcode cc_multi_set_long(void *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}
static inline CURLMcode cc_multi_set_pointer(void *multi, CURLMoption option, void *value) {
    return curl_multi_setopt(multi, option, value);
}
static inline CURLMcode cc_multi_set_socket_fn(void *multi, cc_socket_fn value) {
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, value);
}
static inline CURLMcode cc_multi_set_timer_fn(void *multi, cc_timer_fn value) {
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, value);
}

/* What CURLOPT_PRIVATE holds; NULL when nothing was set. */
static inline void *cc_get_context(void *easy) {
    char *value = NULL;
    return curl_easy_getinfo(easy, CURLINFO_PRIVATE, &value) == CURLE_OK ? value : NULL;
}

/* A finished transfer's handle, or NULL when the queue has no more; `result` receives how it ended. */
static inline void *cc_next_finished(void *multi, CURLcode *result) {
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE) continue;
        *result = message->data.result;
        return message->easy_handle;
    }
    return NULL;
}

/* GNU extension that Swift's Glibc module does not show. Names the calling thread; at most 15 bytes. */
void cc_set_thread_name(const char *name);

#endif
