// Compares with the real Jinja: Debian's python3-jinja2, set up by testdata/render.py as
// transformers does it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "chat/template.h"
#include "chat/template_cases.h"

namespace hearth::chat {
namespace {

using Json = nlohmann::ordered_json;

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string data_path(const std::string& name) {
  return std::string(HEARTH_SOURCE_DIR) + "/src/chat/testdata/" + name;
}

struct Case {
  std::string source;
  Json variables;
};

// What Jinja makes of `cases`: objects with "text" or "error".
Json reference(const std::vector<Case>& cases) {
  Json input = Json::array();
  for (const Case& each : cases) input.push_back({each.source, each.variables});
  const std::string path = testing::TempDir() + "/jinja_cases_" + std::to_string(getpid());
  std::ofstream(path + ".in") << input.dump();
  const std::string command =
      "/usr/bin/python3 '" + data_path("render.py") + "' < '" + path + ".in' > '" + path + ".out'";
  EXPECT_EQ(std::system(command.c_str()), 0) << "this needs the Debian package python3-jinja2";
  Json output = Json::parse(read_file(path + ".out"), nullptr, /*allow_exceptions=*/false);
  std::remove((path + ".in").c_str());
  std::remove((path + ".out").c_str());
  return output;
}

void compare(const std::vector<Case>& cases) {
  const Json expected = reference(cases);
  ASSERT_EQ(expected.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto compiled = ChatTemplate::compile(cases[i].source);
    const Result<std::string> rendered = compiled.ok() ? (*compiled)->render(cases[i].variables)
                                                       : Result<std::string>(compiled.error());
    if (expected[i].contains("text")) {
      ASSERT_TRUE(rendered.ok()) << cases[i].source << "\n" << rendered.error().message();
      EXPECT_EQ(*rendered, expected[i]["text"].get<std::string>()) << cases[i].source;
    } else {
      EXPECT_FALSE(rendered.ok()) << cases[i].source << "\ngave " << *rendered
                                  << "\nbut Jinja: " << expected[i]["error"];
    }
  }
}

TEST(TemplateReference, EveryConstructGivesWhatJinjaGives) {
  std::vector<Case> cases;
  const Json variables = Json::parse(kCaseVariables);
  for (const char* source : kCases) cases.push_back({source, variables});
  compare(cases);
}

TEST(TemplateReference, WhatJinjaRefusesIsRefused) {
  const Json variables = Json::parse(kCaseVariables);
  std::vector<Case> cases;
  for (const char* source : kRefusedCases) cases.push_back({source, variables});
  const Json expected = reference(cases);
  for (size_t i = 0; i < cases.size(); ++i) {
    ASSERT_TRUE(expected[i].contains("error")) << cases[i].source;
    const auto compiled = ChatTemplate::compile(cases[i].source);
    if (!compiled.ok()) continue;
    EXPECT_FALSE((*compiled)->render(variables).ok()) << cases[i].source;
  }
}

// Variables of every conversation below, for every template file.
std::vector<Json> conversations() {
  std::vector<Json> list;
  const Json all = Json::parse(read_file(data_path("conversations.json")));
  for (const Json& conversation : all) {
    for (const bool prompt : {true, false}) {
      Json variables = conversation;
      variables["add_generation_prompt"] = prompt;
      variables["bos_token"] = "<|begin_of_text|>";
      variables["eos_token"] = "<|eot_id|>";
      list.push_back(std::move(variables));
    }
  }
  return list;
}

TEST(TemplateReference, WholeChatTemplatesGiveWhatJinjaGives) {
  // ChatML, with escapes and with real newlines inside its strings, as Ember has it.
  std::string ember(default_template());
  for (size_t at; (at = ember.find("\\n")) != std::string::npos;) ember.replace(at, 2, "\n");
  std::vector<std::string> sources = {std::string(default_template()), ember};
  for (const char* name :
       {"tools.jinja", "thinking.jinja", "headers.jinja", "typescript.jinja", "markup.jinja"}) {
    sources.push_back(read_file(data_path(name)));
    ASSERT_FALSE(sources.back().empty());
  }
  std::vector<Case> cases;
  for (const std::string& source : sources) {
    for (const Json& variables : conversations()) cases.push_back({source, variables});
  }
  compare(cases);
}

}  // namespace
}  // namespace hearth::chat
