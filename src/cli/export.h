/* The command `export`. */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

/* Returns the exit status. */
int export_main(int argc, char **argv);

#endif
