/* The command `import`. */
#ifndef CLI_COMMANDS_IMPORT_H
#define CLI_COMMANDS_IMPORT_H

/* Returns the exit status. */
int import_main(int argc, char **argv);

#endif
