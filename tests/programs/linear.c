/* Linear with its backward pass in C, answering the questions that npnet has recorded:

       cc -O2 -o linear linear.c
       ./linear reference/Linear/cpu.safetensors answers.safetensors
       npnet judge answers.safetensors

   y = x Wᵀ + b; dx = dy W, dW = dyᵀ x, db = Σ dy over all rows. With -DMISTAKE, db is the mean. */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AXES 8

typedef struct {
    int ndim;
    size_t shape[AXES], size;
    const char *bytes;
} Tensor;

static char *header, *data; /* of the file of questions */

static void stop(const char *why, const char *what) {
    fprintf(stderr, "linear: %s %s\n", why, what);
    exit(1);
}

static void *need(void *memory) {
    if (memory == NULL) stop("out of", "memory");
    return memory;
}

static void open_questions(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) stop("cannot open", path);
    uint64_t length;
    if (fread(&length, 8, 1, file) != 1 || length > 100000000) stop("no safetensors file:", path);
    header = need(malloc(length + 1));
    if (fread(header, 1, length, file) != length) stop("cut off:", path);
    header[length] = 0;
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file) - 8 - length;
    data = need(malloc(size + 1));
    fseek(file, (long)(8 + length), SEEK_SET);
    if (fread(data, 1, size, file) != size) stop("cut off:", path);
    fclose(file);
}

/* The tensor of a question; 0 where there is none. The header has it as
   "name":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]} */
static int find(const char *question, const char *name, Tensor *t) {
    char key[128];
    snprintf(key, sizeof key, "\"%s/%s\":", question, name);
    char *at = strstr(header, key);
    if (at == NULL) return 0;
    char *shape = strstr(at, "\"shape\":[") + 9;
    t->ndim = 0, t->size = 1;
    while (*shape != ']') {
        if (t->ndim == AXES) stop("too many axes:", key);
        t->size *= t->shape[t->ndim++] = strtoull(shape, &shape, 10);
        shape += *shape == ',';
    }
    t->bytes = data + strtoull(strstr(at, "\"data_offsets\":[") + 16, NULL, 10);
    return 1;
}

/* The file of answers: what stands in its header, and its bytes. */
static char *said, *answers;
static size_t said_length, answered;

static void answer(const char *question, const char *name, const char *dtype, const Tensor *like,
                   const void *bytes, size_t size) {
    said = need(realloc(said, said_length + 512));
    answers = need(realloc(answers, answered + size + 1));
    char *to = said + said_length;
    to += sprintf(to, ",\"%s/%s\":{\"dtype\":\"%s\",\"shape\":[", question, name, dtype);
    for (int i = 0; i < like->ndim; i++) to += sprintf(to, "%s%zu", i ? "," : "", like->shape[i]);
    to += sprintf(to, "],\"data_offsets\":[%zu,%zu]}", answered, answered + size);
    said_length = (size_t)(to - said);
    memcpy(answers + answered, bytes, size);
    answered += size;
}

static void write_answers(const char *path) {
    const char *first = "{\"__metadata__\":{\"layer\":\"Linear\"}";
    size_t length = strlen(first) + said_length + 1;
    size_t padded = (length + 7) / 8 * 8; /* spaces behind the header are allowed */
    uint64_t told = padded;
    FILE *file = fopen(path, "wb");
    if (file == NULL) stop("cannot write", path);
    fwrite(&told, 8, 1, file);
    fprintf(file, "%s%.*s}%*s", first, (int)said_length, said, (int)(padded - length), "");
    fwrite(answers, 1, answered, file);
    if (fclose(file) != 0) stop("cannot write", path);
}

#define LINEAR(T, DTYPE)                                                                          \
    static void linear_##T(const char *question) {                                                \
        Tensor tx, tw, tb, tdy;                                                                   \
        int biased = find(question, "state bias", &tb);                                           \
        if (!find(question, "input 0", &tx) || !find(question, "state weight", &tw) ||            \
            !find(question, "dy", &tdy))                                                          \
            stop("incomplete:", question);                                                        \
        size_t out = tw.shape[0], in = tw.shape[1], rows = 1;                                     \
        for (int i = 0; i < tx.ndim - 1; i++) rows *= tx.shape[i];                                \
        const T *x = (const T *)tx.bytes, *w = (const T *)tw.bytes, *dy = (const T *)tdy.bytes;   \
        T *y = need(calloc(rows * out + 1, sizeof(T)));                                           \
        T *dx = need(calloc(rows * in + 1, sizeof(T)));                                           \
        T *dw = need(calloc(out * in + 1, sizeof(T)));                                            \
        T *db = need(calloc(out + 1, sizeof(T)));                                                 \
        for (size_t n = 0; n < rows; n++)                                                         \
            for (size_t o = 0; o < out; o++) {                                                    \
                T sum = biased ? ((const T *)tb.bytes)[o] : 0, d = dy[n * out + o];               \
                for (size_t i = 0; i < in; i++) {                                                 \
                    sum += x[n * in + i] * w[o * in + i];                                         \
                    dx[n * in + i] += d * w[o * in + i];                                          \
                    dw[o * in + i] += d * x[n * in + i];                                          \
                }                                                                                 \
                y[n * out + o] = sum;                                                             \
                db[o] += MEAN(d, rows);                                                           \
            }                                                                                     \
        answer(question, "y", DTYPE, &tdy, y, rows * out * sizeof(T));                            \
        answer(question, "gradient of input 0", DTYPE, &tx, dx, rows * in * sizeof(T));           \
        answer(question, "gradient of weight", DTYPE, &tw, dw, out * in * sizeof(T));             \
        if (biased) answer(question, "gradient of bias", DTYPE, &tb, db, out * sizeof(T));        \
        free(y), free(dx), free(dw), free(db);                                                    \
    }

#ifdef MISTAKE
#define MEAN(d, rows) ((d) / (rows))
#else
#define MEAN(d, rows) (d)
#endif

LINEAR(float, "F32")
LINEAR(double, "F64")

int main(int count, char **given) {
    if (count != 3) stop("usage: linear QUESTIONS ANSWERS", "");
    open_questions(given[1]);
    char question[32];
    Tensor t;
    for (int i = 0; sprintf(question, "float64-%d", i), find(question, "input 0", &t); i++)
        linear_double(question);
    for (int i = 0; sprintf(question, "float32-%d", i), find(question, "input 0", &t); i++)
        linear_float(question);
    write_answers(given[2]);
    return 0;
}
