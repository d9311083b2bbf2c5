#include "instance/saved_files.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/saved_memory.h"

namespace cove {
namespace {

class SavedFilesTest : public testing::Test {
 protected:
  SavedFilesTest() {
    char path[] = "/tmp/cove-saved-XXXXXX";
    EXPECT_NE(::mkdtemp(path), nullptr);
    path_ = path;
    std::filesystem::create_directory(path_ + "/machine");
    store_ = openFile(path_, O_RDONLY | O_DIRECTORY);
    dir_ = openBeneath(store_, "machine", O_RDONLY | O_DIRECTORY);
    Fd memory = makeMemfd("memory");
    EXPECT_EQ(::ftruncate(memory.get(), 1 << 20), 0);
    writeAll(memory, "remembered", "memory");
    Fd file = create("memory");
    writeMemory(memory, [&](std::string_view bytes) { writeAll(file, bytes, "memory"); });
    writeAll(create("devices"), "state of devices", "devices");
    writeAll(create("disk"), "a qcow2", "disk");
    writeAll(create("overlay"), "an empty qcow2", "overlay");
    sealSaved(store_, dir_, kMadeOf);
  }
  ~SavedFilesTest() override { std::filesystem::remove_all(path_); }

  Fd create(const std::string& name) { return openAt(dir_, name, O_WRONLY | O_CREAT, 0600); }
  // Changes one byte.
  void damage(const std::string& name, off_t at) {
    ASSERT_EQ(::fchmodat(dir_.get(), name.c_str(), 0600, 0), 0);
    Fd file = openAt(dir_, name, O_RDWR);
    char byte;
    ASSERT_EQ(::pread(file.get(), &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, at), 1);
  }
  std::string errorOf(const std::string& madeOf = kMadeOf) {
    try {
      LoadedMachine(dir_, 1).fill(store_, madeOf);
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  }

  static constexpr const char* kMadeOf = R"({"image":"abc"})";
  std::string path_;
  Fd store_, dir_;
};

TEST_F(SavedFilesTest, AreLoadedAsTheyWereSealed) {
  EXPECT_EQ(readMadeOf(store_, dir_), kMadeOf);
  LoadedMachine loaded(dir_, 1);
  loaded.fill(store_, kMadeOf);
  loaded.freeze();
  SavedMachine one = loaded.start(), two = loaded.start();
  char text[16] = {};
  EXPECT_EQ(::pread(one.memory.get(), text, 10, 0), 10);
  EXPECT_STREQ(text, "remembered");
  // Each reads its own from the beginning.
  EXPECT_EQ(readAll(one.devices, 100, "devices"), "state of devices");
  EXPECT_EQ(readAll(two.devices, 100, "devices"), "state of devices");
  for (const char* name : {"first", "second"}) {
    loaded.writeOverlay(create(name));
    EXPECT_EQ(readAll(openBeneath(dir_, name, O_RDONLY), 100, name), "an empty qcow2");
  }
}

TEST_F(SavedFilesTest, NobodyChangesWhatMachinesBeginFrom) {
  LoadedMachine loaded(dir_, 1);
  loaded.fill(store_, kMadeOf);
  loaded.freeze();
  SavedMachine machine = loaded.start();
  for (const Fd* file : {&machine.memory, &machine.devices, &machine.disk}) {
    EXPECT_LT(::pwrite(file->get(), "x", 1, 0), 0);
    EXPECT_NE(::ftruncate(file->get(), 0), 0);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0), MAP_FAILED);
  }
  // What a QEMU that opens it anew may do: have a copy of its own.
  EXPECT_LT(::fcntl(machine.memory.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  void* own = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, machine.memory.get(), 0);
  ASSERT_NE(own, MAP_FAILED);
  *static_cast<char*>(own) = 'X';
  ::munmap(own, 4096);
  char first = 0;
  EXPECT_EQ(::pread(machine.memory.get(), &first, 1, 0), 1);
  EXPECT_EQ(first, 'r');
}

TEST_F(SavedFilesTest, AreForTheirOwnerAlone) {
  for (const char* name : {"memory", "devices", "disk", "overlay", "saved.json", "seal"}) {
    struct stat st = statOf(openBeneath(dir_, name, O_RDONLY), name);
    EXPECT_EQ(st.st_mode & 07777, 0400U) << name;
  }
  EXPECT_EQ(statOf(openBeneath(store_, "seal.key", O_RDONLY), "seal.key").st_mode & 07777, 0600U);
}

TEST_F(SavedFilesTest, AnyDamageIsFound) {
  EXPECT_EQ(errorOf(), "");
  for (const char* name : {"devices", "disk", "overlay"}) {
    damage(name, 3);
    EXPECT_EQ(errorOf(), std::string("its file ") + name + " is damaged");
    damage(name, 3);
  }
  damage("memory", 45);  // a byte of the page
  EXPECT_EQ(errorOf(), "its file memory is damaged");
  damage("memory", 45);
  for (const char* name : {"saved.json", "seal"}) {
    damage(name, 2);
    EXPECT_EQ(errorOf(), "it does not bear the seal of this state directory");
    damage(name, 2);
  }
  EXPECT_EQ(errorOf(), "");
  ASSERT_EQ(::fchmodat(dir_.get(), "memory", 0600, 0), 0);
  ASSERT_EQ(::ftruncate(openAt(dir_, "memory", O_RDWR).get(), 1000), 0);
  EXPECT_EQ(errorOf(), "its file memory is cut off");
}

TEST_F(SavedFilesTest, OneOfAnotherStateDirectoryOrKindIsRefused) {
  EXPECT_EQ(errorOf(R"({"image":"other"})"), "it is another machine's");
  ASSERT_EQ(::unlinkat(store_.get(), "seal.key", 0), 0);
  EXPECT_EQ(errorOf(), "it does not bear the seal of this state directory");
}

}  // namespace
}  // namespace cove
