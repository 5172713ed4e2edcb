/*
 * An S3 look-alike that costs next to nothing, so that a benchmark measures its client.
 *
 * In memory, one thread, no authentication, path addressing: PUT, GET (Range, If-Match), HEAD, DELETE,
 * LIST v1 and v2, multipart, conditional writes, user metadata. Bodies over KEEP bytes are counted and
 * thrown away; what is read of them later is made up from the offset. It checks no signature and no
 * checksum, decodes no aws-chunked body (501) and is nothing to keep data in.
 *
 *   null_server PORT                  PORT 0: any; prints the port it listens on
 *   GET  /_stats                      requests by operation, objects, bytes: one JSON object
 *   POST /_reset                      forget the counters (with ?all the objects too)
 *   POST /_fill?bucket=&prefix=&count=&size=&per=   objects prefix/GGGG/NNNNNN, `per` to a group
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define KEEP (8u << 20)    /* bytes: the largest body that is kept */
#define HEAD_MAX (64 << 10) /* bytes: the largest request head */
#define MD5_MAX (64u << 10) /* bytes: larger bodies get the ETag of a multipart upload, so that hashing is no load */
#define PATTERN (1u << 20) /* bytes: made-up content repeats after so many */
#define PAGE_MAX 1000
#define NAME_MAX_LEN 2048  /* bytes: bucket, slash and key, decoded */

/* ---- objects ------------------------------------------------------------------------------- */

typedef struct { int refs; char bytes[]; } Body;

typedef struct Object {
    struct Object *next;
    uint64_t hash, size, version;
    time_t modified;
    Body *body;  /* NULL: made up, or empty */
    char *meta;  /* header lines of the user's metadata, or NULL */
    int parts;   /* of a multipart upload, 1 when large, 0: the ETag is the MD5 */
    unsigned char md5[16];
    uint32_t name_len;
    char name[]; /* bucket/key */
} Object;

typedef struct Part { uint64_t size, version; Body *body; } Part;
typedef struct Upload {
    struct Upload *next;
    uint64_t id, kept;
    char *meta, *name;
    Part *parts;
    int room;
} Upload;

static Object **table;
static size_t table_size, objects;
static uint64_t versions, object_bytes;
static Object **sorted; /* by name; valid unless stale */
static int stale = 1;
static Upload *uploads;
static char pattern[2 * PATTERN];

enum { PUT_, GET_, HEAD_, LIST_, DELETE_, CREATE_, PART_, COMPLETE_, ABORT_, COPY_, OTHER_, OPERATIONS };
static const char *const operation_names[OPERATIONS] = {
    "put", "get", "head", "list", "delete", "create_multipart", "upload_part", "complete_multipart",
    "abort_multipart", "copy", "other"};
static uint64_t counts[OPERATIONS];

static void *must(void *pointer) {
    if (!pointer) { fputs("null_server: out of memory\n", stderr); exit(1); }
    return pointer;
}

static Body *body_new(size_t size) {
    Body *body = must(malloc(sizeof *body + size));
    body->refs = 1;
    return body;
}

static Body *body_share(Body *body) { if (body) body->refs++; return body; }
static void body_drop(Body *body) { if (body && !--body->refs) free(body); }

static uint64_t hash_of(const char *bytes, size_t size) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash ^ hash >> 29;
}

static Object **slot_of(const char *name, size_t size, uint64_t hash) {
    Object **at = &table[hash & (table_size - 1)];
    while (*at && !((*at)->hash == hash && (*at)->name_len == size && !memcmp((*at)->name, name, size)))
        at = &(*at)->next;
    return at;
}

static Object *find(const char *name) {
    size_t size = strlen(name);
    return *slot_of(name, size, hash_of(name, size));
}

static void grow(void) {
    Object **old = table;
    size_t old_size = table_size;
    table_size = table_size ? table_size * 4 : 1 << 14;
    table = must(calloc(table_size, sizeof *table));
    for (size_t i = 0; i < old_size; i++)
        for (Object *one = old[i], *next; one; one = next) {
            next = one->next;
            Object **home = &table[one->hash & (table_size - 1)];
            one->next = *home;
            *home = one;
        }
    free(old);
}

static Object *store(const char *name, uint64_t size, Body *body, char *meta, int parts) {
    if (objects >= table_size) grow();
    size_t length = strlen(name);
    uint64_t hash = hash_of(name, length);
    Object **at = slot_of(name, length, hash), *one = *at;
    if (one) {
        object_bytes -= one->size;
        body_drop(one->body);
        free(one->meta);
    } else {
        one = *at = must(calloc(1, sizeof *one + length + 1));
        one->hash = hash;
        one->name_len = (uint32_t)length;
        memcpy(one->name, name, length + 1);
        objects++;
        stale = 1;
    }
    one->size = size;
    one->version = ++versions;
    one->modified = time(NULL);
    one->body = body;
    one->meta = meta;
    one->parts = parts;
    object_bytes += size;
    return one;
}

static void discard(Object **at) {
    Object *one = *at;
    *at = one->next;
    object_bytes -= one->size;
    objects--;
    stale = 1;
    body_drop(one->body);
    free(one->meta);
    free(one);
}

static void forget_objects(const char *prefix) {
    size_t size = strlen(prefix);
    for (size_t i = 0; i < table_size; i++)
        for (Object **at = &table[i]; *at;)
            if (!strncmp((*at)->name, prefix, size)) discard(at);
            else at = &(*at)->next;
}

static int by_name(const void *left, const void *right) {
    return strcmp((*(Object *const *)left)->name, (*(Object *const *)right)->name);
}

static void sort_objects(void) {
    if (!stale) return;
    free(sorted);
    sorted = must(malloc((objects + 1) * sizeof *sorted));
    size_t count = 0;
    for (size_t i = 0; i < table_size; i++)
        for (Object *one = table[i]; one; one = one->next) sorted[count++] = one;
    qsort(sorted, count, sizeof *sorted, by_name);
    stale = 0;
}

static size_t first_at_least(const char *name) {
    size_t low = 0, high = objects;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(sorted[middle]->name, name) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* ---- MD5 (RFC 1321): clients compare it with the ETag, and ask further when that is something else ---- */

static uint32_t md5_table[64];

static void md5_block(uint32_t state[4], const unsigned char *block) {
    static const unsigned char turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t word[16], a = state[0], b = state[1], c = state[2], d = state[3];
    memcpy(word, block, 64);
#define STEP(function, index) \
    { \
        uint32_t sum = a + (function) + md5_table[i] + word[(index) & 15]; \
        int turn = turns[i / 16][i & 3]; \
        a = d, d = c, c = b, b += sum << turn | sum >> (32 - turn); \
    }
    int i = 0;
    for (; i < 16; i++) STEP(d ^ (b & (c ^ d)), i)
    for (; i < 32; i++) STEP(c ^ (d & (b ^ c)), 5 * i + 1)
    for (; i < 48; i++) STEP(b ^ c ^ d, 3 * i + 5)
    for (; i < 64; i++) STEP(c ^ (b | ~d), 7 * i)
#undef STEP
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

static void md5_of(const char *bytes, uint64_t size, unsigned char *to) {
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint64_t at = 0, bits = size * 8;
    for (; size - at >= 64; at += 64) md5_block(state, (const unsigned char *)bytes + at);
    unsigned char tail[128] = {0};
    size_t left = (size_t)(size - at), whole = left < 56 ? 64 : 128;
    memcpy(tail, bytes + at, left);
    tail[left] = 0x80;
    memcpy(tail + whole - 8, &bits, 8);
    for (size_t i = 0; i < whole; i += 64) md5_block(state, tail + i);
    memcpy(to, state, 16);
}

/* ---- text ---------------------------------------------------------------------------------- */

typedef struct { char *at; size_t size, room; } Text;

static void text_room(Text *text, size_t more) {
    if (text->size + more + 1 <= text->room) return;
    text->room = (text->size + more + 1) * 2;
    text->at = must(realloc(text->at, text->room));
}

static void text_add(Text *text, const char *bytes, size_t size) {
    text_room(text, size);
    memcpy(text->at + text->size, bytes, size);
    text->at[text->size += size] = 0;
}

__attribute__((format(printf, 2, 3))) static void text_print(Text *text, const char *format, ...) {
    va_list list;
    __builtin_va_start(list, format);
    int size = vsnprintf(NULL, 0, format, list);
    __builtin_va_end(list);
    text_room(text, (size_t)size);
    __builtin_va_start(list, format);
    vsnprintf(text->at + text->size, (size_t)size + 1, format, list);
    __builtin_va_end(list);
    text->size += (size_t)size;
}

static int plain(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~/", c);
}

/* A key in a listing: percent-encoded when asked for, else XML. */
static void text_key(Text *text, const char *key, size_t size, int encoded) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)key[i];
        if (c && plain(c)) text_add(text, key + i, 1);
        else if (encoded) text_print(text, "%%%02X", c);
        else if (c < 0x20 || strchr("<>&\"'", c)) text_print(text, "&#%d;", c);
        else text_add(text, key + i, 1);
    }
}

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static int decode(char *to, size_t room, const char *from, size_t size, int plus) {
    size_t out = 0;
    for (size_t i = 0; i < size; i++) {
        char c = from[i];
        if (c == '%' && i + 2 < size && hex(from[i + 1]) >= 0 && hex(from[i + 2]) >= 0) {
            c = (char)(hex(from[i + 1]) << 4 | hex(from[i + 2]));
            i += 2;
        } else if (plus && c == '+') c = ' ';
        if (!c || out + 1 >= room) return 0;
        to[out++] = c;
    }
    to[out] = 0;
    return 1;
}

/* The value of one query parameter, decoded; NULL when it is not there. */
static const char *query_of(const char *query, const char *name, char *to) {
    size_t length = strlen(name);
    for (const char *at = query; at && *at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
        size_t size = strcspn(at, "&"), key = strcspn(at, "=&");
        if (key != length || strncmp(at, name, length)) continue;
        const char *value = at + key + (key < size);
        return decode(to, NAME_MAX_LEN, value, size - (size_t)(value - at), 1) ? to : NULL;
    }
    return NULL;
}

/* ---- connections --------------------------------------------------------------------------- */

typedef struct {
    int fd, close, writing;
    char in[HEAD_MAX];
    size_t in_size;
    /* the request whose body is being read */
    int busy;
    char method[8], name[NAME_MAX_LEN], query[8192];
    char *head; /* the header lines, NUL-terminated; freed with the request */
    uint64_t length, received;
    Body *body; /* NULL: thrown away */
    /* the answer on its way */
    Text out;
    size_t out_sent;
    Body *file;
    int made_up;
    uint64_t from, left;
} Connection;

static const char *header_of(const Connection *c, const char *name, char *to, size_t room) {
    size_t length = strlen(name);
    for (const char *line = c->head; line && *line; line = strstr(line, "\r\n") ? strstr(line, "\r\n") + 2 : NULL) {
        if (strncasecmp(line, name, length) || line[length] != ':') continue;
        const char *value = line + length + 1;
        value += strspn(value, " \t");
        size_t size = strcspn(value, "\r");
        if (size >= room) return NULL;
        memcpy(to, value, size);
        to[size] = 0;
        return to;
    }
    return NULL;
}

static char *metadata_of(const Connection *c) {
    static const char *const kept[] = {"x-amz-meta-", "content-type:", "content-encoding:"};
    Text text = {0};
    for (const char *line = c->head; *line;) {
        size_t size = strcspn(line, "\r");
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if (!strncasecmp(line, kept[i], strlen(kept[i]))) {
                text_add(&text, line, size);
                text_add(&text, "\r\n", 2);
            }
        line += size;
        if (*line) line += 2;
    }
    return text.at;
}

static void date_of(time_t when, char *to, size_t room, const char *format) {
    struct tm broken;
    gmtime_r(&when, &broken);
    strftime(to, room, format, &broken);
}

static void part_etag(char *to, uint64_t version, int parts) {
    /* Never 32 hex digits alone: clients would take that for an MD5 and check it. */
    sprintf(to, "\"%032llx-%d\"", (unsigned long long)version, parts);
}

static void etag_of(char *to, const Object *one) {
    if (one->parts) { part_etag(to, one->version, one->parts); return; }
    *to++ = '"';
    for (int i = 0; i < 16; i++, to += 2) sprintf(to, "%02x", one->md5[i]);
    strcpy(to, "\"");
}

static void answer(Connection *c, int status, const char *reason, const char *extra, const Text *body) {
    size_t size = body ? body->size : 0;
    text_print(&c->out, "HTTP/1.1 %d %s\r\nServer: null\r\nx-amz-request-id: 0\r\n%s", status, reason, extra);
    if (status != 204 && status != 304) text_print(&c->out, "Content-Length: %zu\r\n", size);
    text_add(&c->out, "\r\n", 2);
    if (size && strcmp(c->method, "HEAD")) text_add(&c->out, body->at, size);
}

static void refuse(Connection *c, int status, const char *code) {
    Text text = {0};
    text_print(&text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code><Message>%s</Message></Error>",
               code, code);
    answer(c, status, code, "Content-Type: application/xml\r\n", &text);
    free(text.at);
}

static void answer_xml(Connection *c, Text *text) {
    answer(c, 200, "OK", "Content-Type: application/xml\r\n", text);
    free(text->at);
}

/* ---- operations ---------------------------------------------------------------------------- */

/* Whether a write may go on; answers when it may not. */
static int condition_holds(Connection *c) {
    char value[128], etag[64];
    Object *one = find(c->name);
    if (header_of(c, "if-none-match", value, sizeof value) && one) {
        refuse(c, 412, "PreconditionFailed");
        return 0;
    }
    if (!header_of(c, "if-match", value, sizeof value)) return 1;
    if (one) etag_of(etag, one);
    if (one && !strcmp(etag, value)) return 1;
    if (one) refuse(c, 412, "PreconditionFailed");
    else refuse(c, 404, "NoSuchKey");
    return 0;
}

static void answer_etag(Connection *c, const Object *one) {
    char etag[64], extra[128];
    etag_of(etag, one);
    sprintf(extra, "ETag: %s\r\n", etag);
    answer(c, 200, "OK", extra, NULL);
}

static void put_object(Connection *c) {
    counts[PUT_]++;
    if (!condition_holds(c)) return;
    Object *one = store(c->name, c->length, c->body, metadata_of(c), c->length > MD5_MAX);
    if (!one->parts) md5_of(c->body ? c->body->bytes : "", c->length, one->md5);
    c->body = NULL;
    answer_etag(c, one);
}

static void copy_object(Connection *c) {
    char source[NAME_MAX_LEN * 3], name[NAME_MAX_LEN], directive[16] = "", etag[64], date[40];
    counts[COPY_]++;
    header_of(c, "x-amz-copy-source", source, sizeof source);
    const char *from = source + (*source == '/');
    if (!decode(name, sizeof name, from, strlen(from), 0)) { refuse(c, 400, "InvalidArgument"); return; }
    header_of(c, "x-amz-metadata-directive", directive, sizeof directive);
    Object *old = find(name);
    if (!old) { refuse(c, 404, "NoSuchKey"); return; }
    char *meta = !strcasecmp(directive, "REPLACE") ? metadata_of(c) : old->meta ? must(strdup(old->meta)) : NULL;
    Object same = *old;
    Object *one = store(c->name, same.size, body_share(same.body), meta, same.parts);
    memcpy(one->md5, same.md5, sizeof one->md5);
    etag_of(etag, one);
    date_of(one->modified, date, sizeof date, "%Y-%m-%dT%H:%M:%S.000Z");
    Text text = {0};
    text_print(&text, "<CopyObjectResult><ETag>%s</ETag><LastModified>%s</LastModified></CopyObjectResult>", etag, date);
    answer_xml(c, &text);
}

/* Sets from and left to the part that is asked for; 0 when there is no such part. */
static int range_of(const Connection *c, uint64_t size, uint64_t *from, uint64_t *left) {
    char value[64];
    unsigned long long first = 0, last = 0;
    *from = 0;
    *left = size;
    if (!header_of(c, "range", value, sizeof value) || strncmp(value, "bytes=", 6)) return 1;
    if (value[6] == '-') {
        if (sscanf(value + 7, "%llu", &last) != 1) return 0;
        first = last < size ? size - last : 0;
        last = size - 1;
    } else {
        int found = sscanf(value + 6, "%llu-%llu", &first, &last);
        if (found < 1) return 0;
        if (found == 1 || last >= size) last = size - 1;
    }
    if (first >= size || last < first) return 0;
    *from = first;
    *left = last - first + 1;
    return 1;
}

static void get_object(Connection *c) {
    char etag[64], wanted[128], date[64];
    int head = !strcmp(c->method, "HEAD");
    counts[head ? HEAD_ : GET_]++;
    Object *one = find(c->name);
    if (!one) { refuse(c, 404, "NoSuchKey"); return; }
    etag_of(etag, one);
    if (header_of(c, "if-match", wanted, sizeof wanted) && strcmp(wanted, etag)) {
        refuse(c, 412, "PreconditionFailed");
        return;
    }
    uint64_t from, left;
    if (!range_of(c, one->size, &from, &left)) { refuse(c, 416, "InvalidRange"); return; }
    int partial = left != one->size;
    date_of(one->modified, date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT");
    text_print(&c->out, "HTTP/1.1 %s\r\nServer: null\r\nETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n%s",
               partial ? "206 Partial Content" : "200 OK", etag, date, one->meta ? one->meta : "");
    if (partial)
        text_print(&c->out, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)from,
                   (unsigned long long)(from + left - 1), (unsigned long long)one->size);
    text_print(&c->out, "Content-Length: %llu\r\n\r\n", (unsigned long long)left);
    if (head) return;
    c->file = body_share(one->body);
    c->made_up = !one->body;
    c->from = from;
    c->left = left;
}

typedef struct { char prefix[NAME_MAX_LEN], after[NAME_MAX_LEN], delimiter[8]; int v2, encoded, limit; } Listing;

static void listing_of(Connection *c, Listing *listing) {
    char value[NAME_MAX_LEN];
    memset(listing, 0, sizeof *listing);
    listing->v2 = query_of(c->query, "list-type", value) != NULL;
    listing->encoded = query_of(c->query, "encoding-type", value) != NULL;
    listing->limit = query_of(c->query, "max-keys", value) ? atoi(value) : PAGE_MAX;
    if (listing->limit < 0 || listing->limit > PAGE_MAX) listing->limit = PAGE_MAX;
    if (query_of(c->query, "prefix", value)) strcpy(listing->prefix, value);
    if (query_of(c->query, "delimiter", value)) snprintf(listing->delimiter, sizeof listing->delimiter, "%s", value);
    if (query_of(c->query, listing->v2 ? "start-after" : "marker", value)) strcpy(listing->after, value);
    if (listing->v2 && query_of(c->query, "continuation-token", value)) strcpy(listing->after, value);
}

static void list_entry(Text *text, const Object *one, const char *key, int encoded) {
    char etag[64], date[40];
    etag_of(etag, one);
    date_of(one->modified, date, sizeof date, "%Y-%m-%dT%H:%M:%S.000Z");
    text_print(text, "<Contents><Key>");
    text_key(text, key, strlen(key), encoded);
    text_print(text, "</Key><LastModified>%s</LastModified><ETag>%s</ETag><Size>%llu</Size>"
               "<StorageClass>STANDARD</StorageClass></Contents>", date, etag, (unsigned long long)one->size);
}

static void list_objects(Connection *c) {
    counts[LIST_]++;
    Listing listing;
    listing_of(c, &listing);
    sort_objects();
    char name[NAME_MAX_LEN * 2], last[NAME_MAX_LEN] = "";
    size_t bucket = strcspn(c->name, "/"), prefix_size = strlen(listing.prefix);
    sprintf(name, "%.*s/%s", (int)bucket, c->name, strcmp(listing.after, listing.prefix) > 0 ? listing.after : listing.prefix);
    size_t at = first_at_least(name), whole = bucket + 1;
    Text entries = {0}, text = {0};
    int count = 0, truncated = 0;
    for (; at < objects; at++) {
        const char *key = sorted[at]->name + whole;
        if (strncmp(sorted[at]->name, name, whole) || strncmp(key, listing.prefix, prefix_size)) break;
        if (strcmp(key, listing.after) <= 0) continue;
        size_t after_size = strlen(listing.after);
        int in_group = *listing.delimiter && after_size && listing.after[after_size - 1] == *listing.delimiter;
        if (in_group && after_size > prefix_size && !strncmp(key, listing.after, after_size)) continue;
        if (count == listing.limit) { truncated = 1; break; }
        const char *end = *listing.delimiter ? strstr(key + prefix_size, listing.delimiter) : NULL;
        count++;
        if (!end) {
            list_entry(&entries, sorted[at], key, listing.encoded);
            strcpy(last, key);
            continue;
        }
        size_t size = (size_t)(end - key) + strlen(listing.delimiter);
        text_print(&entries, "<CommonPrefixes><Prefix>");
        text_key(&entries, key, size, listing.encoded);
        text_print(&entries, "</Prefix></CommonPrefixes>");
        memcpy(last, key, size);
        last[size] = 0;
        strcpy(listing.after, last);
    }
    text_print(&text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
               "<Name>%.*s</Name><Prefix>", (int)bucket, c->name);
    text_key(&text, listing.prefix, prefix_size, listing.encoded);
    text_print(&text, "</Prefix><MaxKeys>%d</MaxKeys><IsTruncated>%s</IsTruncated>", listing.limit, truncated ? "true" : "false");
    if (listing.encoded) text_print(&text, "<EncodingType>url</EncodingType>");
    if (listing.v2) text_print(&text, "<KeyCount>%d</KeyCount>", count);
    if (truncated) {
        /* A token is given back as it was got: never encoded as keys are. */
        const char *tag = listing.v2 ? "NextContinuationToken" : "NextMarker";
        text_print(&text, "<%s>", tag);
        text_key(&text, last, strlen(last), !listing.v2 && listing.encoded);
        text_print(&text, "</%s>", tag);
    }
    if (entries.size) text_add(&text, entries.at, entries.size);
    text_print(&text, "</ListBucketResult>");
    free(entries.at);
    answer_xml(c, &text);
}

/* ---- multipart ----------------------------------------------------------------------------- */

static Upload **upload_of(Connection *c) {
    char value[NAME_MAX_LEN];
    uint64_t id = query_of(c->query, "uploadId", value) ? strtoull(value, NULL, 16) : 0;
    Upload **at = &uploads;
    while (*at && ((*at)->id != id || strcmp((*at)->name, c->name))) at = &(*at)->next;
    return at;
}

static void upload_free(Upload **at) {
    Upload *one = *at;
    *at = one->next;
    for (int i = 0; i < one->room; i++) body_drop(one->parts[i].body);
    free(one->parts);
    free(one->meta);
    free(one->name);
    free(one);
}

static void create_upload(Connection *c) {
    counts[CREATE_]++;
    Upload *one = must(calloc(1, sizeof *one));
    one->id = ++versions;
    one->name = must(strdup(c->name));
    one->meta = metadata_of(c);
    one->next = uploads;
    uploads = one;
    Text text = {0};
    text_print(&text, "<InitiateMultipartUploadResult><UploadId>%016llx</UploadId></InitiateMultipartUploadResult>",
               (unsigned long long)one->id);
    answer_xml(c, &text);
}

static void put_part(Connection *c) {
    char value[NAME_MAX_LEN], etag[64], extra[128];
    counts[PART_]++;
    Upload *one = *upload_of(c);
    int number = query_of(c->query, "partNumber", value) ? atoi(value) : 0;
    if (!one) { refuse(c, 404, "NoSuchUpload"); return; }
    if (number < 1 || number > 10000) { refuse(c, 400, "InvalidArgument"); return; }
    if (number > one->room) {
        one->parts = must(realloc(one->parts, (size_t)number * 2 * sizeof *one->parts));
        memset(one->parts + one->room, 0, (size_t)(number * 2 - one->room) * sizeof *one->parts);
        one->room = number * 2;
    }
    Part *part = &one->parts[number - 1];
    if (part->body) one->kept -= part->size;
    body_drop(part->body);
    *part = (Part){c->length, ++versions, NULL};
    if (c->body && one->kept + c->length <= 4ull * KEEP) {
        part->body = c->body;
        c->body = NULL;
        one->kept += part->size;
    }
    part_etag(etag, part->version, 1);
    sprintf(extra, "ETag: %s\r\n", etag);
    answer(c, 200, "OK", extra, NULL);
}

static void complete_upload(Connection *c) {
    counts[COMPLETE_]++;
    Upload **at = upload_of(c), *one = *at;
    if (!one) { refuse(c, 404, "NoSuchUpload"); return; }
    if (!condition_holds(c)) return;
    uint64_t size = 0;
    int parts = 0, whole = 1;
    for (int i = 0; i < one->room; i++)
        if (one->parts[i].version) {
            size += one->parts[i].size;
            whole &= one->parts[i].body || !one->parts[i].size;
            parts++;
        }
    Body *body = whole ? body_new(size) : NULL;
    uint64_t done = 0;
    for (int i = 0; whole && i < one->room; i++)
        if (one->parts[i].body) {
            memcpy(body->bytes + done, one->parts[i].body->bytes, one->parts[i].size);
            done += one->parts[i].size;
        }
    Object *object = store(c->name, size, body, one->meta, parts);
    one->meta = NULL;
    upload_free(at);
    char etag[64];
    etag_of(etag, object);
    Text text = {0};
    text_print(&text, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", etag);
    answer_xml(c, &text);
}

static void abort_upload(Connection *c) {
    counts[ABORT_]++;
    Upload **at = upload_of(c);
    if (!*at) { refuse(c, 404, "NoSuchUpload"); return; }
    upload_free(at);
    answer(c, 204, "No Content", "", NULL);
}

static void list_parts(Connection *c) {
    counts[OTHER_]++;
    Upload *one = *upload_of(c);
    if (!one) { refuse(c, 404, "NoSuchUpload"); return; }
    Text text = {0};
    text_print(&text, "<ListPartsResult><IsTruncated>false</IsTruncated>");
    for (int i = 0; i < one->room; i++)
        if (one->parts[i].version) {
            char etag[64];
            part_etag(etag, one->parts[i].version, 1);
            text_print(&text, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%llu</Size></Part>", i + 1, etag,
                       (unsigned long long)one->parts[i].size);
        }
    text_print(&text, "</ListPartsResult>");
    answer_xml(c, &text);
}

static void list_uploads(Connection *c) {
    counts[OTHER_]++;
    size_t bucket = strcspn(c->name, "/");
    Text text = {0};
    text_print(&text, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>");
    for (Upload *one = uploads; one; one = one->next) {
        if (strncmp(one->name, c->name, bucket) || one->name[bucket] != '/') continue;
        text_print(&text, "<Upload><Key>");
        text_key(&text, one->name + bucket + 1, strlen(one->name + bucket + 1), 0);
        text_print(&text, "</Key><UploadId>%016llx</UploadId></Upload>", (unsigned long long)one->id);
    }
    text_print(&text, "</ListMultipartUploadsResult>");
    answer_xml(c, &text);
}

/* ---- the benchmark's own requests ---------------------------------------------------------- */

static void stats(Connection *c) {
    Text text = {0};
    text_print(&text, "{");
    for (int i = 0; i < OPERATIONS; i++)
        text_print(&text, "\"%s\": %llu, ", operation_names[i], (unsigned long long)counts[i]);
    size_t open = 0;
    for (Upload *one = uploads; one; one = one->next) open++;
    text_print(&text, "\"objects\": %zu, \"bytes\": %llu, \"open_uploads\": %zu}\n", objects,
               (unsigned long long)object_bytes, open);
    answer(c, 200, "OK", "Content-Type: application/json\r\n", &text);
    free(text.at);
}

static void reset(Connection *c) {
    memset(counts, 0, sizeof counts);
    if (!strncmp(c->query, "all", 3)) {
        forget_objects("");
        while (uploads) upload_free(&uploads);
    }
    answer(c, 200, "OK", "", NULL);
}

static uint64_t number_of(Connection *c, const char *name, uint64_t otherwise) {
    char value[NAME_MAX_LEN];
    return query_of(c->query, name, value) ? strtoull(value, NULL, 10) : otherwise;
}

static void fill(Connection *c) {
    char bucket[NAME_MAX_LEN] = "bench", prefix[NAME_MAX_LEN] = "files", name[NAME_MAX_LEN * 3];
    query_of(c->query, "bucket", bucket);
    query_of(c->query, "prefix", prefix);
    uint64_t count = number_of(c, "count", 0), size = number_of(c, "size", 4096), per = number_of(c, "per", 100);
    unsigned char md5[16];
    if (size <= MD5_MAX) md5_of(pattern, size, md5);
    for (uint64_t i = 0; i < count; i++) {
        sprintf(name, "%s/%s/%04llu/%06llu", bucket, prefix, (unsigned long long)(i / per), (unsigned long long)i);
        Object *one = store(name, size, NULL, NULL, size > MD5_MAX);
        if (!one->parts) memcpy(one->md5, md5, sizeof md5);
    }
    answer(c, 200, "OK", "", NULL);
}

/* ---- HTTP ---------------------------------------------------------------------------------- */

static int asks(const Connection *c, const char *name) {
    char value[NAME_MAX_LEN];
    return query_of(c->query, name, value) != NULL;
}

static void bucket_request(Connection *c) {
    if (!strcmp(c->method, "GET")) {
        if (asks(c, "uploads")) { list_uploads(c); return; }
        if (!asks(c, "location")) { list_objects(c); return; }
        counts[OTHER_]++;
        Text text = {0};
        text_print(&text, "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>");
        answer_xml(c, &text);
        return;
    }
    counts[OTHER_]++;
    if (!strcmp(c->method, "DELETE")) {
        char prefix[NAME_MAX_LEN + 1];
        sprintf(prefix, "%.*s/", (int)strcspn(c->name, "/"), c->name);
        forget_objects(prefix);
        answer(c, 204, "No Content", "", NULL);
    } else if (!strcmp(c->method, "HEAD") || !strcmp(c->method, "PUT")) answer(c, 200, "OK", "", NULL);
    else refuse(c, 501, "NotImplemented");
}

static void object_request(Connection *c) {
    char value[NAME_MAX_LEN * 3];
    if (!strcmp(c->method, "PUT")) {
        if (asks(c, "uploadId")) put_part(c);
        else if (header_of(c, "x-amz-copy-source", value, sizeof value)) copy_object(c);
        else put_object(c);
    } else if (!strcmp(c->method, "GET")) {
        if (asks(c, "uploadId")) list_parts(c);
        else get_object(c);
    } else if (!strcmp(c->method, "HEAD")) get_object(c);
    else if (!strcmp(c->method, "POST") && asks(c, "uploads")) create_upload(c);
    else if (!strcmp(c->method, "POST") && asks(c, "uploadId")) complete_upload(c);
    else if (!strcmp(c->method, "DELETE") && asks(c, "uploadId")) abort_upload(c);
    else if (!strcmp(c->method, "DELETE")) {
        counts[DELETE_]++;
        size_t size = strlen(c->name);
        Object **at = slot_of(c->name, size, hash_of(c->name, size));
        if (*at) discard(at);
        answer(c, 204, "No Content", "", NULL);
    } else refuse(c, 501, "NotImplemented");
}

static void request(Connection *c) {
    char value[64];
    size_t bucket = strcspn(c->name, "/");
    if (!strcmp(c->name, "_stats")) stats(c);
    else if (!strcmp(c->name, "_reset")) reset(c);
    else if (!strcmp(c->name, "_fill")) fill(c);
    else if (header_of(c, "x-amz-decoded-content-length", value, sizeof value)) refuse(c, 501, "NotImplemented");
    else if (!*c->name) {
        counts[OTHER_]++;
        Text text = {0};
        text_print(&text, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>");
        answer_xml(c, &text);
    } else if (!c->name[bucket] || !c->name[bucket + 1]) bucket_request(c);
    else object_request(c);
}

/* Takes one request head from `in`: 1 taken, 0 more is needed, -1 not HTTP. */
static int take_head(Connection *c) {
    char *end = memmem(c->in, c->in_size, "\r\n\r\n", 4), *space, *target, *stop, value[64];
    if (!end) return c->in_size < HEAD_MAX - 1 ? 0 : -1;
    size_t size = (size_t)(end - c->in) + 4;
    end[2] = 0;
    if (!(space = strchr(c->in, ' ')) || space - c->in >= (long)sizeof c->method) return -1;
    memcpy(c->method, c->in, (size_t)(space - c->in));
    c->method[space - c->in] = 0;
    target = space + 1;
    if (!(stop = strchr(target, ' ')) || *target != '/') return -1;
    *stop = 0;
    char *lines = strstr(stop + 1, "\r\n");
    char *query = strchr(target, '?');
    if (query) *query++ = 0;
    if (query && strlen(query) >= sizeof c->query) return -1;
    strcpy(c->query, query ? query : "");
    if (!decode(c->name, sizeof c->name, target + 1, strlen(target + 1), 0)) return -1;
    c->head = must(strdup(lines ? lines + 2 : ""));
    c->length = header_of(c, "content-length", value, sizeof value) ? strtoull(value, NULL, 10) : 0;
    if (header_of(c, "transfer-encoding", value, sizeof value)) return -1;
    c->close = header_of(c, "connection", value, sizeof value) && !strcasecmp(value, "close");
    if (header_of(c, "expect", value, sizeof value)) text_print(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    c->received = 0;
    c->body = c->length && c->length <= KEEP ? body_new(c->length) : NULL;
    c->in_size -= size;
    memmove(c->in, c->in + size, c->in_size);
    c->busy = 1;
    return 1;
}

static void take_body(Connection *c) {
    uint64_t wanted = c->length - c->received;
    size_t here = c->in_size < wanted ? c->in_size : (size_t)wanted;
    if (!here) return;
    if (c->body) memcpy(c->body->bytes + c->received, c->in, here);
    c->received += here;
    c->in_size -= here;
    memmove(c->in, c->in + here, c->in_size);
}

static int output_left(const Connection *c) { return c->out_sent < c->out.size || c->left; }

/* Sends what can be sent: 0 the connection is gone. */
static int flush(Connection *c) {
    while (output_left(c)) {
        struct iovec pieces[2];
        int count = 0;
        size_t head = c->out.size - c->out_sent;
        if (head) pieces[count++] = (struct iovec){c->out.at + c->out_sent, head};
        if (c->left) {
            uint64_t most = c->made_up ? PATTERN : c->left;
            char *from = c->made_up ? pattern + c->from % PATTERN : c->file->bytes + c->from;
            pieces[count++] = (struct iovec){from, c->left < most ? c->left : most};
        }
        ssize_t sent = writev(c->fd, pieces, count);
        if (sent < 0 && errno == EAGAIN) return 1;
        if (sent < 0) return 0;
        size_t of_head = (size_t)sent < head ? (size_t)sent : head;
        c->out_sent += of_head;
        c->from += (uint64_t)sent - of_head;
        c->left -= (uint64_t)sent - of_head;
    }
    c->out.size = c->out_sent = 0;
    body_drop(c->file);
    c->file = NULL;
    return !c->close || c->busy;
}

static void end_request(Connection *c) {
    request(c);
    free(c->head);
    c->head = NULL;
    body_drop(c->body);
    c->body = NULL;
    c->busy = 0;
}

/* Reads once: 1 something came, 0 nothing now, -1 the connection is gone. */
static int receive(Connection *c) {
    ssize_t got;
    uint64_t wanted = c->busy ? c->length - c->received : 0;
    if (c->busy && wanted && !c->in_size) {
        /* Straight to where it belongs; a body that is not kept is not even copied out of the kernel. */
        size_t most = wanted < (4u << 20) ? (size_t)wanted : 4u << 20;
        got = c->body ? recv(c->fd, c->body->bytes + c->received, most, 0) : recv(c->fd, NULL, most, MSG_TRUNC);
        if (got > 0) c->received += (uint64_t)got;
    } else {
        got = recv(c->fd, c->in + c->in_size, HEAD_MAX - 1 - c->in_size, 0);
        if (got > 0) c->in_size += (size_t)got;
    }
    if (got > 0) return 1;
    return got < 0 && errno == EAGAIN ? 0 : -1;
}

/* Goes as far as it can: 0 the connection is gone. */
static int progress(Connection *c) {
    for (;;) {
        if (output_left(c) && !flush(c)) return 0;
        if (output_left(c) && !c->busy) return 1; /* the next request waits for this answer */
        if (!c->busy) {
            c->in[c->in_size] = 0;
            int taken = take_head(c);
            if (taken < 0) return 0;
            if (taken) { take_body(c); if (!flush(c)) return 0; }
        } else take_body(c);
        if (c->busy && c->received == c->length) { end_request(c); if (!flush(c)) return 0; continue; }
        int got = receive(c);
        if (got <= 0) return got == 0;
    }
}

static void connection_free(Connection *c) {
    close(c->fd);
    free(c->head);
    free(c->out.at);
    body_drop(c->body);
    body_drop(c->file);
    free(c);
}

static void watch(int poll, Connection *c, int change) {
    int writing = output_left(c);
    if (!change && writing == c->writing) return;
    c->writing = writing;
    struct epoll_event event = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(poll, change ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
}

static void accept_all(int poll, int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        Connection *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        watch(poll, c, 1);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) { perror("null_server"); exit(1); }
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)((i % PATTERN) * 2654435761u >> 24);
    for (int i = 0; i < 64; i++) md5_table[i] = (uint32_t)(long long)(fabs(sin(i + 1)) * 4294967296.0);
    grow();
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0), poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) accept_all(poll, listener);
            else if (!progress(c)) connection_free(c);
            else watch(poll, c, 0);
        }
    }
}
