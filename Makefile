# PGXS build of the extension: make, make install, make installcheck.
# The same sources without src/pg build with CMake, for unit tests, sanitizers and benchmarks.
EXTENSION = anomaly
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" anomaly.control)
MODULE_big = anomaly

core_sources   = $(wildcard src/core/*/*.cpp)
kafka_sources  = $(wildcard src/kafka/*.cpp)
bridge_sources = $(wildcard src/bridge/*.cpp)
pg_sources     = $(wildcard src/pg/*.cpp src/pg/*/*.cpp)
below_objects  = $(patsubst %.cpp,%.o,$(core_sources) $(kafka_sources) $(bridge_sources))
pg_objects     = $(patsubst %.cpp,%.o,$(pg_sources))
OBJS = $(below_objects) $(pg_objects)

sql_sources = $(sort $(wildcard src/sql/*.sql))
DATA_built = anomaly--$(EXTVERSION).sql

# installcheck needs a running server with shared_preload_libraries = 'anomaly'.
REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --inputdir=.

# Bitcode of the C++ sources would need clang with our flags, and nothing of ours is worth inlining.
override with_llvm := no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
# -isystem: the server's headers are not ours to warn about.
server_include = $(shell $(PG_CONFIG) --includedir-server)

EXTRA_CLEAN = $(DATA_built) $(below_objects:.o=.d) $(pg_objects:.o=.d)

include $(PGXS)

# Templates of the C++ library would be exported in spite of -fvisibility=hidden; not with the map.
exports = src/pg/exports.map
SHLIB_LINK += -lrdkafka -lsimdjson -lz -lpthread -Wl,--version-script=$(exports)
$(MODULE_big)$(DLSUFFIX): $(exports)
# The C++ compiler links, or the C++ runtime is missing.
override COMPILER = $(CXX) $(CXXFLAGS)

own_cxxflags = -std=c++20 -O2 -g -fPIC -Wall -Wextra -Werror -Wshadow \
	-fvisibility=hidden -fvisibility-inlines-hidden -MMD -MP -Isrc
# Below the wall: exceptions on, no way to a server header.
below_cxxflags = $(own_cxxflags) -Wconversion
# Above it: server headers, no exceptions, no C++ runtime types.
pg_cxxflags = $(own_cxxflags) -fno-exceptions -fno-rtti -isystem $(server_include) -D_GNU_SOURCE

$(below_objects): %.o: %.cpp
	$(CXX) $(below_cxxflags) -c -o $@ $<

$(pg_objects): %.o: %.cpp
	$(CXX) $(pg_cxxflags) -c -o $@ $<

$(DATA_built): $(sql_sources) anomaly.control
	cat $(sql_sources) > $@

-include $(below_objects:.o=.d) $(pg_objects:.o=.d)

.PHONY: format tidy print-below print-pg
format:
	git ls-files '*.h' '*.cpp' | xargs clang-format-14 -i

tidy:
	prove test/tidy.sh

# For test/wall: the very flags of each side of the wall.
print-below:
	@echo $(CXX) $(below_cxxflags)
print-pg:
	@echo $(CXX) $(pg_cxxflags)
