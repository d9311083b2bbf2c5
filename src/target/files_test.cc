#include <fcntl.h>
#include <sys/stat.h>

#include "target/copy.h"
#include "target/paths.h"
#include "target/testing.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

class FilesTest : public TargetTest {
 protected:
  rpc::TreeSink::Client writeTree(const fs::path& path) {
    auto request = target().writeTreeRequest();
    request.setPath(path.c_str());
    return request.send().wait(io.waitScope).getSink();
  }
  bool directory(rpc::TreeSink::Client& sink, kj::StringPtr path) {
    auto request = sink.directoryRequest();
    request.setPath(path);
    request.initAttributes().setMode(0755);
    return worked(request.send().ignoreResult());
  }
  bool file(rpc::TreeSink::Client& sink, kj::StringPtr path, kj::StringPtr content) {
    auto request = sink.fileRequest();
    request.setPath(path);
    request.initAttributes().setMode(04755);
    auto sent = request.send();
    auto write = sent.getContent().writeRequest();
    write.setData(content.asBytes());
    auto end = sent.getContent().endRequest();
    end.setSize(content.size());
    auto writing = write.send().ignoreResult();
    return worked(kj::mv(writing)) && worked(end.send().ignoreResult());
  }
  bool symlink(rpc::TreeSink::Client& sink, kj::StringPtr path, kj::StringPtr to) {
    auto request = sink.symlinkRequest();
    request.setPath(path);
    request.setTarget(to);
    return worked(request.send().ignoreResult());
  }
  bool worked(kj::Promise<void> promise) {
    try {
      promise.wait(io.waitScope);
      return true;
    } catch (const kj::Exception&) {
      return false;
    }
  }
  size_t count(const fs::path& path) {
    return static_cast<size_t>(std::distance(fs::recursive_directory_iterator(path), {}));
  }
};

TEST_F(FilesTest, StatsListsReadsWritesAndRemoves) {
  write("a", "hello");
  fs::create_symlink("a", dir / "l");
  auto stat = target().statRequest();
  stat.setPath((dir / "l").c_str());
  auto link = stat.send().wait(io.waitScope);
  EXPECT_EQ(link.getInfo().getKind(), rpc::FileInfo::Kind::SYMLINK);
  EXPECT_EQ(link.getInfo().getLinkTarget(), "a");
  auto list = target().listRequest();
  list.setPath(dir.c_str());
  auto entries = list.send().wait(io.waitScope);
  ASSERT_EQ(entries.getEntries().size(), 2u);
  EXPECT_EQ(entries.getEntries()[0].getName(), "a");
  EXPECT_EQ(entries.getEntries()[0].getSize(), 5u);
  auto got = std::make_shared<Collected>();
  auto reading = target().readRequest();
  reading.setPath((dir / "l").c_str());
  reading.setSink(kj::heap<CollectingSink>(got));
  reading.send().ignoreResult().wait(io.waitScope);
  EXPECT_EQ(got->data, "hello");
  auto removing = target().removeRequest();
  removing.setPath((dir / "l").c_str());
  removing.send().ignoreResult().wait(io.waitScope);
  EXPECT_TRUE(fs::exists(dir / "a"));
  EXPECT_FALSE(fs::is_symlink(dir / "l"));
  reading = target().readRequest();
  reading.setPath("/dev/zero");
  reading.setSink(kj::heap<CollectingSink>(got));
  EXPECT_FALSE(worked(reading.send().ignoreResult()));
}

TEST_F(FilesTest, WritesAtomicallyOrNotAtAll) {
  write("f", "old");
  auto start = [&] {
    auto request = target().writeRequest();
    request.setPath((dir / "f").c_str());
    request.initAttributes().setMode(0640);
    auto content = request.send().getContent();
    auto write = content.writeRequest();
    write.setData(kj::StringPtr("new").asBytes());
    write.send().ignoreResult().wait(io.waitScope);
    return content;
  };
  start();  // dropped before its end
  EXPECT_TRUE(until([&] { return count(dir) == 1; }));
  EXPECT_EQ(read("f"), "old");
  auto content = start();
  auto end = content.endRequest();
  end.setSize(3);
  end.send().ignoreResult().wait(io.waitScope);
  EXPECT_EQ(read("f"), "new");
  struct stat st {};
  ASSERT_EQ(::stat((dir / "f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
}

TEST_F(FilesTest, RemovesTreesWithoutFollowingLinks) {
  fs::create_directories(dir / "tree/a/b");
  write("keep", "x");
  fs::create_directory_symlink(dir, dir / "tree/a/out");
  auto request = target().removeRequest();
  request.setPath((dir / "tree").c_str());
  EXPECT_FALSE(worked(request.send().ignoreResult()));
  request = target().removeRequest();
  request.setPath((dir / "tree/").c_str());
  request.setRecursive(true);
  EXPECT_TRUE(worked(request.send().ignoreResult()));
  EXPECT_FALSE(fs::exists(dir / "tree"));
  EXPECT_EQ(read("keep"), "x");
  request = target().removeRequest();
  request.setPath("/");
  request.setRecursive(true);
  EXPECT_FALSE(worked(request.send().ignoreResult()));
}

TEST_F(FilesTest, ChecksNames) {
  for (const char* path : {"", "a", "a/b", "...", "a/..b", ".hidden"})
    EXPECT_TRUE(isSafeTreePath(path)) << path;
  for (const char* path : {"/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b"})
    EXPECT_FALSE(isSafeTreePath(path)) << path;
  EXPECT_FALSE(isSafeTreePath(std::string_view("a\0b", 3)));
  EXPECT_FALSE(isSafeTreePath(std::string(300, 'a')));
  std::string deep = "a";
  for (int i = 0; i < 300; ++i) deep += "/a";
  EXPECT_FALSE(isSafeTreePath(deep));
}

TEST_F(FilesTest, CopiesATreeWithItsAttributes) {
  fs::create_directories(dir / "from/sub/empty");
  write("from/sub/file", std::string(300'000, 'q') + "end");
  write("from/sparse", "");
  fs::resize_file(dir / "from/sparse", 50'000'000);
  for (int i = 0; i < 300; ++i) write("from/small" + std::to_string(i), std::to_string(i));
  fs::create_symlink("../nowhere", dir / "from/link");
  ::mkfifo((dir / "from/fifo").c_str(), 0600);
  fs::permissions(dir / "from/sub/empty", fs::perms(0500));
  fs::permissions(dir / "from/sub/file", fs::perms(0711));
  timespec times[] = {{1000, 0}, {1'000'000, 5}};
  ::utimensat(AT_FDCWD, (dir / "from/sub").c_str(), times, 0);
  uint64_t bytes = 0;
  auto progress = [&](uint64_t now, const std::string&) { bytes = now; };
  LeftOut leftOut = copyTree(target(), dir / "from", served, dir / "to", {}, progress).wait(io.waitScope);
  EXPECT_EQ(leftOut.count, 1U);
  EXPECT_EQ(leftOut.first, std::vector<std::string>{"fifo"});
  EXPECT_EQ(std::system(("diff -r --no-dereference " + (dir / "from").string() + " " + (dir / "to").string() +
                         " | grep -v fifo")
                            .c_str()),
            256);  // grep found nothing
  EXPECT_FALSE(fs::exists(dir / "to/fifo"));
  EXPECT_EQ(fs::read_symlink(dir / "to/link"), "../nowhere");
  EXPECT_GT(bytes, 50'300'000u);
  struct stat st {};
  ASSERT_EQ(::stat((dir / "to/sub").c_str(), &st), 0);
  EXPECT_EQ(st.st_mtim.tv_sec, 1'000'000);
  ASSERT_EQ(::stat((dir / "to/sub/file").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0711u);
  ASSERT_EQ(::stat((dir / "to/sub/empty").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0500u);
  ASSERT_EQ(::stat((dir / "to/sparse").c_str(), &st), 0);
  EXPECT_LT(st.st_blocks, 1000);
  copyTree(served, dir / "from/sub/file", target(), dir / "to", {.intoDirectory = "named"})
      .wait(io.waitScope);
  EXPECT_EQ(fs::file_size(dir / "to/named"), 300'003u);
  EXPECT_THROW(copyTree(served, dir / "none", target(), dir / "to2", {}).wait(io.waitScope), kj::Exception);
  EXPECT_FALSE(fs::exists(dir / "to2"));
}

TEST_F(FilesTest, ErrorsNameWhatWasAskedFor) {
  write("f", "x");
  try {
    copyTree(served, dir / "f", target(), "/proc/version", {}).wait(io.waitScope);
    ADD_FAILURE();
  } catch (const kj::Exception& e) {
    EXPECT_EQ(fromKj(e).message(), "cannot make a file beside /proc/version: No such file or directory");
  }
}

TEST_F(FilesTest, AHostileTreeStaysInItsDirectory) {
  fs::create_directories(dir / "outside");
  write("victim", "safe");
  auto sink = writeTree(dir / "in");
  EXPECT_FALSE(file(sink, "early", "x"));  // before the root
  ASSERT_TRUE(directory(sink, ""));
  for (const char* path : {"..", "../x", "/etc/x", "a/../../x", ".", "./x", "a//b", "a/"}) {
    EXPECT_FALSE(file(sink, path, "evil")) << path;
    EXPECT_FALSE(directory(sink, path)) << path;
    EXPECT_FALSE(symlink(sink, path, "x")) << path;
  }
  ASSERT_TRUE(symlink(sink, "link", "../outside"));
  EXPECT_FALSE(file(sink, "link/x", "evil"));
  EXPECT_FALSE(directory(sink, "link"));
  EXPECT_FALSE(directory(sink, "link/d"));
  ASSERT_TRUE(symlink(sink, "v", (dir / "victim").c_str()));
  EXPECT_TRUE(file(sink, "v", "replaced"));  // the link itself is replaced
  EXPECT_EQ(read("victim"), "safe");
  EXPECT_EQ(read("in/v"), "replaced");
  struct stat st {};
  ASSERT_EQ(::stat((dir / "in/v").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);  // setuid is not given to another owner
  EXPECT_EQ(count(dir / "outside"), 0u);
}

TEST_F(FilesTest, ASwappedDirectoryIsNotFollowed) {
  fs::create_directories(dir / "outside");
  auto sink = writeTree(dir / "in");
  ASSERT_TRUE(directory(sink, ""));
  ASSERT_TRUE(directory(sink, "sub"));
  fs::rename(dir / "in/sub", dir / "in/moved");
  fs::create_directory_symlink(dir / "outside", dir / "in/sub");
  EXPECT_FALSE(file(sink, "sub/x", "evil"));
  EXPECT_FALSE(worked(sink.doneRequest().send().ignoreResult()));
  EXPECT_EQ(count(dir / "outside"), 0u);
}

TEST_F(FilesTest, ConnectsBothWaysWithHalfClose) {
  auto running = makeSocketPair(SOCK_STREAM);
  Fd dirFd = openFile(dir, O_RDONLY | O_DIRECTORY);
  Fd listening = listenUnix(dirFd, "s");
  auto got = std::make_shared<Collected>();
  auto request = target().connectRequest();
  request.setAddress(kj::str("unix:", (dir / "s").c_str()));
  request.setToClient(kj::heap<CollectingSink>(got));
  auto sink = request.send().wait(io.waitScope).getToTarget();
  Fd peer(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  auto write = sink.writeRequest();
  write.setData(kj::StringPtr("ping").asBytes());
  write.send().ignoreResult().wait(io.waitScope);
  auto end = sink.endRequest();
  end.setSize(4);
  end.send().ignoreResult().wait(io.waitScope);
  EXPECT_EQ(readAll(peer, 100, "the socket"), "ping");
  ASSERT_EQ(::write(peer.get(), "pong", 4), 4);
  peer.reset();
  EXPECT_TRUE(until([&] { return got->ended; }));
  EXPECT_EQ(got->data, "pong");
  for (const char* address :
       {"tcp:localhost:80", "tcp:127.0.0.1", "tcp:127.0.0.1:1", "tcp:::1:80", "unix:rel", "x"}) {
    auto bad = target().connectRequest();
    bad.setAddress(address);
    bad.setToClient(kj::heap<CollectingSink>(got));
    EXPECT_FALSE(worked(bad.send().ignoreResult())) << address;
  }
}

}  // namespace
}  // namespace cove
