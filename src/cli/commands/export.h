/* The command `export`. */
#ifndef CLI_COMMANDS_EXPORT_H
#define CLI_COMMANDS_EXPORT_H

/* Returns the exit status. */
int export_main(int argc, char **argv);

#endif
