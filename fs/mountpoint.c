/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mountpoint.h"

#include "fs/connection.h"
#include "fs/ops.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "imap/log.h"

/*
 * The session over libfuse's multithreaded loop. libfuse 3.14 never sends
 * FUSE_PARALLEL_DIROPS, without which a parked LOOKUP stops every other one
 * in its directory: the flag is set in the reply to INIT, the first thing that
 * is ever written to the kernel, by an I/O function of ours.
 */

struct mountpoint {
	struct fuse_session *se;
	const char *path;
	char device[CONNECTION_DEVICE];
	bool mounted;
	bool refusing;
	int stop_fd; /* ends the thread that refuses */
	pthread_t refuser;
};

static _Atomic bool init_answered;

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_init_out *out;

	(void)userdata;
	if (!init_answered && count >= 2 &&
	    iov[1].iov_len >= offsetof(struct fuse_init_out, flags2)) {
		out = iov[1].iov_base;
		out->flags |= FUSE_PARALLEL_DIROPS;
		init_answered = true;
	}
	return writev(fd, iov, count);
}

static ssize_t read_request(int fd, void *buf, size_t n, void *userdata)
{
	(void)userdata;
	return read(fd, buf, n);
}

/* NOLINTNEXTLINE(readability-function-size): libfuse wants these seven. */
static ssize_t splice_bytes(int in, off_t *off_in, int out, off_t *off_out,
			    size_t n, unsigned flags, void *userdata)
{
	(void)userdata;
	return splice(in, off_in, out, off_out, n, flags);
}

static const struct fuse_custom_io custom_io = {
	.writev = write_reply,
	.read = read_request,
	.splice_receive = splice_bytes,
	.splice_send = splice_bytes,
};

/* Commas and backslashes in the source are escaped for libfuse's parser. */
static int add_mount_options(struct fs *fs, struct fuse_args *args)
{
	char *option = NULL, *escaped = NULL;
	int r;

	if (asprintf(&option, "fsname=%s", fs->opt->source) < 0)
		return -ENOMEM;
	r = fuse_opt_add_opt_escaped(&escaped, option);
	free(option);
	if (r == 0)
		r = fuse_opt_add_opt(&escaped, "subtype=imapfs");
	/* A starred message has its x bit set: no shell may run it. */
	if (r == 0)
		r = fuse_opt_add_opt(&escaped, "noexec,nosuid,nodev");
	if (r == 0)
		r = fuse_opt_add_opt(&escaped, "default_permissions");
	if (r == 0 && fs->opt->allow_other)
		r = fuse_opt_add_opt(&escaped, "allow_other");
	if (r == 0)
		r = fuse_opt_add_arg(args, "mount.imapfs");
	if (r == 0)
		r = fuse_opt_add_arg(args, "-o");
	if (r == 0)
		r = fuse_opt_add_arg(args, escaped);
	free(escaped);
	return r == 0 ? 0 : -ENOMEM;
}

static int check_directory(const char *path, char why[OPTIONS_ERROR])
{
	struct stat st;

	if (stat(path, &st) != 0) {
		int r = -errno;

		snprintf(why, OPTIONS_ERROR, "mount point '%s': %s", path,
			 strerrordesc_np(-r));
		return r;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, OPTIONS_ERROR,
			 "mount point '%s' is not a directory", path);
		return -ENOTDIR;
	}
	return 0;
}

int mountpoint_open(struct fs *fs, struct mountpoint **ret,
		    char why[OPTIONS_ERROR])
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct mountpoint *m = calloc(1, sizeof(*m));
	struct fuse_lowlevel_ops ops;
	int r;

	if (!m)
		return -ENOMEM;
	m->stop_fd = -1;
	r = check_directory(fs->opt->mountpoint, why);
	if (r != 0)
		goto fail;
	snprintf(why, OPTIONS_ERROR,
		 "cannot mount on '%s': the kernel or fusermount3 refused, see "
		 "the line before",
		 fs->opt->mountpoint);
	r = add_mount_options(fs, &args);
	if (r != 0)
		goto fail;

	ops_fill(&ops);
	r = -EIO;
	m->se = fuse_session_new(&args, &ops, sizeof(ops), fs);
	if (!m->se || fuse_set_signal_handlers(m->se) != 0)
		goto fail;
	if (fuse_session_mount(m->se, fs->opt->mountpoint) != 0)
		goto fail;
	m->mounted = true;
	m->path = fs->opt->mountpoint;
	connection_device(m->path, m->device);
	if (fuse_session_custom_io(m->se, &custom_io, fuse_session_fd(m->se)) !=
	    0)
		goto fail;

	fuse_opt_free_args(&args);
	*ret = m;
	return 0;

fail:
	fuse_opt_free_args(&args);
	mountpoint_close(m);
	return r;
}

struct fuse_session *mountpoint_session(struct mountpoint *m)
{
	return m->se;
}

int mountpoint_serve(struct mountpoint *m)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	int r;

	if (!cfg)
		return -ENOMEM;
	r = fuse_session_loop_mt(m->se, cfg);
	fuse_loop_cfg_destroy(cfg);
	/* A signal's number is a regular end as well. */
	return r < 0 ? r : 0;
}

/* One request that nobody serves any more. False: that was the last one. */
static bool refuse_one(int fd, char *buf, size_t size)
{
	struct fuse_in_header in;
	struct fuse_out_header out = {.len = sizeof(out), .error = -ENOTCONN};
	ssize_t n = read(fd, buf, size);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN || errno == ENOENT;
	if (n < (ssize_t)sizeof(in))
		return false;
	memcpy(&in, buf, sizeof(in));
	if (in.opcode == FUSE_FORGET || in.opcode == FUSE_BATCH_FORGET ||
	    in.opcode == FUSE_INTERRUPT)
		return true;
	out.unique = in.unique;
	/* -ENOENT: it was interrupted meanwhile. */
	return write(fd, &out, sizeof(out)) >= 0 || errno == ENOENT;
}

static void *refuse_thread(void *arg)
{
	struct mountpoint *m = arg;
	struct pollfd p[2] = {
		{.fd = fuse_session_fd(m->se), .events = POLLIN},
		{.fd = m->stop_fd, .events = POLLIN},
	};
	/* The kernel refuses to fill a smaller one than libfuse's. */
	size_t size = (size_t)getpagesize() * 256 + 4096;
	char *buf = malloc(size);
	bool more = buf != NULL;

	while (more) {
		if (poll(p, 2, -1) < 0)
			more = errno == EINTR;
		else if (p[1].revents || (p[0].revents & POLLERR))
			more = false;
		else if (p[0].revents)
			more = refuse_one(p[0].fd, buf, size);
	}
	free(buf);
	return NULL;
}

void mountpoint_refuse(struct mountpoint *m)
{
	if (!m || !m->mounted)
		return;
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	m->refusing = m->stop_fd >= 0 &&
		      pthread_create(&m->refuser, NULL, refuse_thread, m) == 0;
}

/* The kernel has ended the connection: libfuse then only cleans up. */
static bool is_ended(struct mountpoint *m)
{
	struct pollfd p = {.fd = fuse_session_fd(m->se)};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

void mountpoint_end(struct mountpoint *m)
{
	if (m && m->mounted && !is_ended(m))
		connection_end(m->path, m->device);
}

/* Is the mount still there, and ours? Then libfuse may unmount it. */
static bool is_ours(struct mountpoint *m)
{
	char device[CONNECTION_DEVICE];

	if (is_ended(m))
		return true;
	connection_device(m->path, device);
	return strcmp(device, m->device) == 0;
}

void mountpoint_close(struct mountpoint *m)
{
	if (!m)
		return;
	if (m->refusing) {
		(void)eventfd_write(m->stop_fd, 1);
		pthread_join(m->refuser, NULL);
	}
	if (m->stop_fd >= 0)
		close(m->stop_fd);
	if (m->mounted && is_ours(m))
		fuse_session_unmount(m->se);
	if (m->se) {
		fuse_remove_signal_handlers(m->se);
		fuse_session_destroy(m->se);
	}
	free(m);
}
