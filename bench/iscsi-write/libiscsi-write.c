/*
 * The peer of figure "4 KiB random write": libiscsi's asynchronous API, one connection, a fixed number of writes in flight.
 * usage: libiscsi-write ADDRESS:PORT TARGET LUN COUNT QUEUE_DEPTH SEED
 * Prints {"seconds": S, "count": N}: from the first command to the last answer. Offsets and stamps are those of random-blocks.mjs.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define WRITE_BYTES 4096
#define STALLED_AFTER_MS 10000

struct load {
	struct iscsi_context *iscsi;
	int lun;
	int block_size;
	uint32_t places;
	uint32_t random;
	uint32_t seed;
	uint64_t to_send;
	uint64_t to_answer;
	uint64_t count;
};

struct slot {
	struct load *load;
	unsigned char data[WRITE_BYTES];
};

static void die(struct load *load, const char *what)
{
	const char *reason = load->iscsi ? iscsi_get_error(load->iscsi) : "";
	fprintf(stderr, "libiscsi-write: %s: %s\n", what, reason);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_le32(unsigned char *at, uint32_t value)
{
	at[0] = (unsigned char)value;
	at[1] = (unsigned char)(value >> 8);
	at[2] = (unsigned char)(value >> 16);
	at[3] = (unsigned char)(value >> 24);
}

static void send_next(struct slot *slot);

static void on_answer(struct iscsi_context *iscsi, int status, void *command_data, void *private_data)
{
	struct slot *slot = private_data;
	(void)iscsi;
	if (status != SCSI_STATUS_GOOD)
		die(slot->load, "a write failed");
	scsi_free_scsi_task(command_data);
	slot->load->to_answer--;
	if (slot->load->to_send > 0)
		send_next(slot);
}

/* One step of the generator, then a place in 0..places-1 and the same stamp at both ends of the block. */
static void send_next(struct slot *slot)
{
	struct load *load = slot->load;
	uint32_t place;

	load->random = load->random * 1664525u + 1013904223u;
	place = (uint32_t)(((uint64_t)load->random * load->places) >> 32);
	put_le32(slot->data, place);
	put_le32(slot->data + 4, load->seed);
	memcpy(slot->data + WRITE_BYTES - 8, slot->data, 8);
	load->to_send--;
	if (iscsi_write16_task(load->iscsi, load->lun, (uint64_t)place * (WRITE_BYTES / load->block_size), slot->data,
			       WRITE_BYTES, load->block_size, 0, 0, 0, 0, 0, on_answer, slot) == NULL)
		die(load, "a write could not be queued");
}

static void read_capacity(struct load *load)
{
	struct scsi_task *task = iscsi_readcapacity16_sync(load->iscsi, load->lun);
	struct scsi_readcapacity16 *capacity;

	if (task == NULL || task->status != SCSI_STATUS_GOOD)
		die(load, "READ CAPACITY(16)");
	capacity = scsi_datain_unmarshall(task);
	if (capacity == NULL)
		die(load, "READ CAPACITY(16) data");
	load->block_size = (int)capacity->block_length;
	load->places = (uint32_t)((capacity->returned_lba + 1) * capacity->block_length / WRITE_BYTES);
	scsi_free_scsi_task(task);
}

static void serve(struct load *load)
{
	while (load->to_answer > 0) {
		struct pollfd pfd = { .fd = iscsi_get_fd(load->iscsi), .events = (short)iscsi_which_events(load->iscsi) };
		int ready = poll(&pfd, 1, STALLED_AFTER_MS);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			die(load, "the target stalled");
		if (iscsi_service(load->iscsi, pfd.revents) < 0)
			die(load, "the connection");
	}
}

int main(int argc, char **argv)
{
	struct load load = { 0 };
	struct slot *slots;
	uint32_t depth;
	double started;

	if (argc != 7) {
		fprintf(stderr, "usage: libiscsi-write ADDRESS:PORT TARGET LUN COUNT QUEUE_DEPTH SEED\n");
		return 2;
	}
	load.lun = atoi(argv[3]);
	load.count = load.to_send = load.to_answer = strtoull(argv[4], NULL, 10);
	depth = (uint32_t)strtoul(argv[5], NULL, 10);
	load.random = load.seed = (uint32_t)strtoul(argv[6], NULL, 10);
	load.iscsi = iscsi_create_context("iqn.2013-06.org.openstack:libiscsi-write");
	slots = calloc(depth, sizeof(*slots));
	if (load.iscsi == NULL || slots == NULL)
		die(&load, "out of memory");
	iscsi_set_targetname(load.iscsi, argv[2]);
	iscsi_set_session_type(load.iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(load.iscsi, ISCSI_HEADER_DIGEST_NONE);
	if (iscsi_full_connect_sync(load.iscsi, argv[1], load.lun) != 0)
		die(&load, "login");
	read_capacity(&load);

	started = now();
	for (uint32_t i = 0; i < depth && load.to_send > 0; i++) {
		slots[i].load = &load;
		memset(slots[i].data, (int)(i + 1), WRITE_BYTES);
		send_next(&slots[i]);
	}
	serve(&load);
	printf("{\"seconds\": %.6f, \"count\": %llu}\n", now() - started, (unsigned long long)load.count);
	iscsi_logout_sync(load.iscsi);
	iscsi_destroy_context(load.iscsi);
	free(slots);
	return 0;
}
