/* libmariadb (MariaDB Connector/C) for Swift, and the few of its macros that Swift cannot see.
 *
 * The header lies in another folder on every system. Everything of libmariadb is imported as it is. */
#ifndef TURNPIKE_CMARIADB_H
#define TURNPIKE_CMARIADB_H

#if __has_include(<mariadb/mysql.h>)
#include <mariadb/errmsg.h>
#include <mariadb/mysql.h>
#elif __has_include(<mysql.h>)
#include <errmsg.h>
#include <mysql.h>
#else
#include <mysql/errmsg.h>
#include <mysql/mysql.h>
#endif
#include <string.h>

/* Once, before there are threads that use libmariadb. */
static inline int cm_library_init(void) { return mysql_server_init(0, NULL, NULL); }

/* Columns of bytes have this character set, columns of text any other. */
static inline int cm_is_binary(const MYSQL_FIELD *field) { return field->charsetnr == 63; }

/* Clears a bind: libmariadb reads every field of it. */
static inline void cm_clear(MYSQL_BIND *bind) { memset(bind, 0, sizeof *bind); }

/* Whether this libmariadb can do what the next two functions do. */
static inline int cm_takes_rows(void) {
#if MARIADB_PACKAGE_VERSION_ID >= 30300
  return 1;
#else
  return 0;
#endif
}

/* Sends the command that runs a statement for many rows, and leaves its answer to `cm_read_answer`, which reads answers in
 * the order of the commands. Not 0 on an error, which is then the connection's. */
static inline int cm_send_rows(MYSQL_STMT *statement, const void *packet, size_t count) {
  return statement->mysql->methods->db_command(statement->mysql, COM_STMT_BULK_EXECUTE, (const char *)packet, count, 1,
                                               statement);
}

/* Reads the answer to `cm_send_rows`; not 0 on an error, which is then the statement's. */
static inline int cm_read_answer(MYSQL_STMT *statement) {
#if MARIADB_PACKAGE_VERSION_ID >= 30300
  return statement->mysql->methods->db_read_execute_response(statement);
#else
  (void)statement;
  return 1;
#endif
}

#endif
