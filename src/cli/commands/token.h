/* The command `token`. */
#ifndef CLI_COMMANDS_TOKEN_H
#define CLI_COMMANDS_TOKEN_H

int token_main(int argc, char **argv);

#endif
