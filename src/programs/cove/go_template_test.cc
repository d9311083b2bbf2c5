#include "cove/go_template.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace cove::cli {
namespace {

std::string render(std::string_view text) {
  return GoTemplate(text).render([](std::string_view field, GoTemplate::Form form) {
    return (form == GoTemplate::Form::kJson ? "json:" : "") + std::string(field);
  });
}

TEST(GoTemplate, Renders) {
  EXPECT_EQ(render(""), "");
  EXPECT_EQ(render("plain } {"), "plain } {");
  EXPECT_EQ(render("{{.Name}}"), "Name");
  EXPECT_EQ(render("a {{ .Name }}, {{json .Disk}}\t{{ json . }}!"), "a Name, json:Disk\tjson:!");
}

TEST(GoTemplate, RefusesWhatItDoesNotKnow) {
  for (std::string text :
       {"{{", "{{}}", "{{.}}", "{{Name}}", "{{.Name", "{{.A.B}}", "{{range .}}", "{{json}}",
        "{{.Name | upper}}", "{{- .Name}}", "{{.1}}", "{{\"x\"}}", "{{json .A .B}}"}) {
    try {
      GoTemplate bad(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Exit::kUsage);
    }
  }
}

}  // namespace
}  // namespace cove::cli
