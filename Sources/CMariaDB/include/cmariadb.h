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

/* Whether executions return without their answers, which `cm_read_answer` then reads in the same order. Not 0 where this
 * libmariadb does not know how: then nothing has changed. */
static inline int cm_leave_answers(MYSQL *connection, int leave) {
#if MARIADB_PACKAGE_VERSION_ID >= 30300
  my_bool value = leave ? 1 : 0;
  if (connection->methods->db_read_execute_response == NULL) return 1;
  return mysql_options(connection, MARIADB_OPT_SKIP_READ_RESPONSE, &value);
#else
  (void)connection, (void)leave;
  return 1;
#endif
}

/* Reads the answer to an execution that left it; not 0 on an error, which is then the statement's. */
static inline int cm_read_answer(MYSQL_STMT *statement) {
#if MARIADB_PACKAGE_VERSION_ID >= 30300
  return statement->mysql->methods->db_read_execute_response(statement);
#else
  (void)statement;
  return 1;
#endif
}

/* Marks NULLs of an array bind: one byte per row. */
static inline void cm_set_indicators(MYSQL_BIND *bind, char *indicators) { bind->u.indicator = indicators; }

#endif
