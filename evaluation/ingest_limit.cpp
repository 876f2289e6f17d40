/* The practical limit that ingest_bench.py measures against: simdjson's On-Demand parser, the fields that ours
 * needs, and a look-up of every script that a whale touches.
 *
 *   ingest_limit FRAME SCRIPTS THRESHOLD_SAT   reads a frame and a file with one script in hex on each line; for
 *                                              each line on stdin goes through the frame once and prints the
 *                                              nanoseconds of processor it took, its transactions and its whales
 */
#include <simdjson.h>
#include <time.h>

#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <unordered_set>

using namespace simdjson;

struct Counts {
    uint64_t transactions = 0, whales = 0, known = 0, sum = 0;
};

static Counts detect(ondemand::parser &parser, const padded_string &frame,
                     const std::unordered_set<std::string> &scripts, uint64_t threshold) {
    Counts counts;
    auto document = parser.iterate(frame);
    for (auto each : document["mempool-transactions"]["added"].get_array()) {
        auto transaction = each.get_object();
        std::string_view txid = transaction["txid"];
        uint64_t value = 0;
        for (auto output : transaction["vout"].get_array())
            value += uint64_t(output["value"]);
        double weight = transaction["weight"], fee = transaction["fee"];
        counts.transactions++;
        counts.sum += value + txid.size() + uint64_t(fee * 4000 / weight);
        if (value <= threshold)
            continue;
        counts.whales++;
        transaction.reset();
        for (auto input : transaction["vin"].get_array()) {
            ondemand::object prevout;
            if (!input["prevout"].get_object().get(prevout))
                counts.known += scripts.count(std::string(std::string_view(prevout["scriptpubkey"])));
        }
        for (auto output : transaction["vout"].get_array())
            counts.known += scripts.count(std::string(std::string_view(output["scriptpubkey"])));
    }
    return counts;
}

static int64_t processor_ns() {
    timespec now; /* the clock of Python's time.thread_time_ns */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **words) {
    if (count != 4)
        return 2;
    auto frame = padded_string::load(words[1]).value();
    std::unordered_set<std::string> scripts;
    std::ifstream lines(words[2]);
    for (std::string line; std::getline(lines, line);)
        scripts.insert(line);
    uint64_t threshold = std::stoull(words[3]), kept = 0;
    ondemand::parser parser;
    for (std::string line; std::getline(std::cin, line);) {
        int64_t began = processor_ns();
        Counts counts = detect(parser, frame, scripts, threshold);
        int64_t took = processor_ns() - began;
        kept += counts.sum + counts.known; /* or the compiler would leave it out */
        std::cout << took << ' ' << counts.transactions << ' ' << counts.whales << ' ' << (kept & 1) << std::endl;
    }
}
