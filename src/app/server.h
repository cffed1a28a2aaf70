/* Creates all modules of the server, runs it, and destroys them. */
#ifndef APP_SERVER_H
#define APP_SERVER_H

/* The command `serve`. Returns the exit status. */
int server_main(int argc, char **argv);

#endif
