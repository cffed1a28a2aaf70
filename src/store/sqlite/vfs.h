/* A VFS for SQLite: the default one, with our files for databases (db_file.h) and write-ahead logs (log_file.h). */
#ifndef STORE_SQLITE_VFS_H
#define STORE_SQLITE_VFS_H

/* Its name, for sqlite3_open_v2; registered at the first call. NULL: no memory. Any thread. */
const char *vfs_name(void);

#endif
