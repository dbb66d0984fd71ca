#ifndef TURNPIKE_CCURL_H
#define TURNPIKE_CCURL_H
#include <curl/curl.h>
#endif
