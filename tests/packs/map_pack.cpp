// Maps a pack's weights as a runtime without Python would, and writes the bytes of one tensor to standard output.
//
//     map_pack FOLDER/model.safetensors TENSOR
//
// The file: eight bytes of header length, little-endian; the header, JSON; the tensors, from the next page on.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what) {
    std::fprintf(stderr, "map_pack: %s\n", what);
    return 2;
}

int main(int argc, char **argv) {
    if (argc != 3) return fail("usage: map_pack FILE TENSOR");
    int descriptor = open(argv[1], O_RDONLY);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) return fail("the file cannot be opened");
    const uint64_t size = static_cast<uint64_t>(status.st_size);
    if (size < 8) return fail("the file is cut short");
    void *mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) return fail("the file cannot be mapped");
    const char *bytes = static_cast<const char *>(mapped);

    uint64_t header_bytes;
    std::memcpy(&header_bytes, bytes, 8);
    if (header_bytes > size - 8) return fail("the header is longer than the file");
    const std::string header(bytes + 8, header_bytes);
    const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    if ((8 + header_bytes) % page != 0) return fail("the tensors do not start at a page");

    const size_t entry = header.find("\"" + std::string(argv[2]) + "\":");
    if (entry == std::string::npos) return fail("there is no such tensor");
    const std::string key = "\"data_offsets\":[";
    const size_t offsets = header.find(key, entry);
    if (offsets == std::string::npos) return fail("the tensor has no offsets");
    char *after = nullptr;
    const uint64_t begin = std::strtoull(header.c_str() + offsets + key.size(), &after, 10);
    const uint64_t end = std::strtoull(after + 1, nullptr, 10);
    if (begin > end || end > size - 8 - header_bytes) return fail("the tensor lies outside the file");
    const char *tensor = bytes + 8 + header_bytes + begin;
    return std::fwrite(tensor, 1, end - begin, stdout) == end - begin ? 0 : fail("standard output is closed");
}
