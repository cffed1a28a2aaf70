/* Our file system for SQLite: the ordinary one, with databases (db_file.h) and their logs (log_file.h) looked after. */
#ifndef STORE_SQLITE_VFS_H
#define STORE_SQLITE_VFS_H

/* Its name, for sqlite3_open_v2; registered at the first call. NULL: no memory. Any thread. */
const char *vfs_name(void);

#endif
