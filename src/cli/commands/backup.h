/* The command `backup`. */
#ifndef CLI_COMMANDS_BACKUP_H
#define CLI_COMMANDS_BACKUP_H

/* Returns the exit status. */
int backup_main(int argc, char **argv);

#endif
