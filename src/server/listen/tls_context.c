/* Certificates, and the versions and ciphers of TLS that are accepted. */
#include "server/listen/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "server/listen/tls_internal.h"

static enum err openssl_fault(const char *file, const char *what, struct fault *fault)
{
	char text[160];
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);
	ERR_clear_error();
	snprintf(text, sizeof text, "%s", reason != NULL ? reason : "it cannot be read");
	return fault_set(fault, ERR_INVALID, "%s: %s: %s", file, what, text);
}

static int no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
		   void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	(void)ssl;
	(void)arg;
	unsigned char *picked;
	if (SSL_select_next_proto(&picked, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = picked;
	return SSL_TLSEXT_ERR_OK;
}

/* TLS 1.2 with forward secrecy and authenticated ciphers, and TLS 1.3. */
enum err tls_context_create(const struct tls_options *o, SSL_CTX **out, struct fault *fault)
{
	*out = NULL;
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	if (c == NULL)
		return fault_nomem(fault);
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
	SSL_CTX_set_default_passwd_cb(c, no_password);
	ERR_clear_error();
	enum err err = ERR_NONE;
	if (SSL_CTX_use_certificate_chain_file(c, o->cert) != 1)
		err = openssl_fault(o->cert, "not a usable certificate", fault);
	else if (SSL_CTX_use_PrivateKey_file(c, o->key, SSL_FILETYPE_PEM) != 1)
		err = openssl_fault(o->key, "not a usable private key", fault);
	else if (SSL_CTX_check_private_key(c) != 1)
		err = openssl_fault(o->key, "this key does not belong to the certificate", fault);
	if (err)
		SSL_CTX_free(c);
	else
		*out = c;
	return err;
}
