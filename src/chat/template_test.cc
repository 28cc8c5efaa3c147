#include "chat/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/testing/peak_memory.h"

namespace hearth::chat {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

Result<std::string> render(std::string_view source, const Json& variables = Json::object()) {
  HEARTH_TRY(const auto compiled, ChatTemplate::compile(source));
  return compiled->render(variables);
}

Code code_of(std::string_view source, const Json& variables = Json::object()) {
  const Result<std::string> text = render(source, variables);
  EXPECT_FALSE(text.ok()) << source.substr(0, 100);
  return text.ok() ? Code::kInternal : text.error().code();
}

TEST(Template, TheDefaultTemplateIsChatMl) {
  const Json variables = {
      {"messages",
       {{{"role", "system"}, {"content", "Be kind."}}, {{"role", "user"}, {"content", "Hi"}}}},
      {"add_generation_prompt", true}};
  EXPECT_EQ(*render(default_template(), variables),
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(Template, ATemplateCanBeRenderedManyTimesAndKeepsNothing) {
  const auto compiled = ChatTemplate::compile("{% set seen = (seen or 0) + n %}{{ seen }}");
  for (int n = 0; n < 3; ++n) EXPECT_EQ(*(*compiled)->render({{"n", n}}), std::to_string(n));
}

TEST(Template, KeysKeepTheirOrderInJson) {
  EXPECT_EQ(
      *render("{{ tool | tojson }}", Json::parse(R"({"tool": {"z": 1, "a": {"y": 2, "b": 3}}})")),
      R"({"z": 1, "a": {"y": 2, "b": 3}})");
}

TEST(Template, RaiseExceptionsTextIsTheErrorsMessage) {
  const auto text = render("{{ raise_exception('roles must ' ~ 'alternate') }}");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(text.error().message(), "roles must alternate");
}

TEST(Template, ErrorsNameTheLineAndWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\n{{ x.y }}", "line 2: 'x' is undefined"},
      {"\n\n{% if %}", "line 3: expected an expression, not '%}'"},
      {"{% for i in x %}\n", "line 1: expected 'endfor', not the end of the template"},
      {"a\nb {{ 'c }}", "line 2: this string is never closed"},
      {"{{ 1 +\n [] }}", "unsupported operand types for +: 'int' and 'list'"},
  };
  for (const auto& [source, message] : cases) {
    const auto text = render(source);
    ASSERT_FALSE(text.ok()) << source;
    EXPECT_EQ(text.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(text.error().message(), HasSubstr(message));
  }
}

TEST(Template, WhatTheSubsetLacksIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"{% include 'x' %}", "'include'"},
      {"{% extends 'x' %}", "'extends'"},
      {"{% block x %}{% endblock %}", "'block'"},
      {"{{ x | urlize }}", "line 1: the filter 'urlize'"},
      {"{{ x is escapable }}", "line 1: the test 'escapable'"},
      {"{{ '{0.a}'.format(x) }}", "fields that reach into values"},
      {"{{ [1][1, 2] }}", "a tuple as subscript"},
  };
  for (const auto& [source, message] : cases) {
    const auto text = render(source);
    ASSERT_FALSE(text.ok()) << source;
    EXPECT_EQ(text.error().code(), Code::kUnsupported) << source;
    EXPECT_THAT(text.error().message(), HasSubstr(message));
  }
}

TEST(Template, VariablesMustBeAnObjectOfBoundedDepth) {
  EXPECT_EQ(code_of("x", Json::array()), Code::kInvalidArgument);
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  EXPECT_EQ(code_of("x", {{"deep", deep}}), Code::kInvalidArgument);
}

TEST(Template, IntegersPast64BitsAreRefused) {
  EXPECT_EQ(code_of("{{ 9223372036854775807 + 1 }}"), Code::kInvalidArgument);
  EXPECT_EQ(code_of("{{ 99999999999999999999 }}"), Code::kInvalidArgument);
  EXPECT_EQ(code_of("{{ (-9223372036854775807 - 1) // -1 }}"), Code::kInvalidArgument);
  EXPECT_EQ(code_of("{{ (-9223372036854775807 - 1) | abs }}"), Code::kInvalidArgument);
  EXPECT_EQ(*render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
}

TEST(HostileTemplate, ErrorsNameTheLineAndTheLimit) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n{% set a = 'a' * 10 ** 7 %}{% for i in range(100) %}{{ a is upper }}{% endfor %}",
       "line 2: the chat template takes more than 10000000 steps"},
      {"\n{{ 'a' * 10 ** 10 }}", "line 2: the chat template needs more than 134217728 bytes"},
      {"\n{{ 'a' * 10 ** 7 }}", "line 2: the chat template gives more than 8388608 bytes of text"},
      {"{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}",
       "line 2: the chat template recurses deeper than 600 levels"},
      {"\n{{ range(10 ** 9) }}", "line 2: a range of more than 100000 numbers"},
      {"\n{% set ns = namespace() %}{% set ns.n = ns %}{{ ns }}",
       "line 2: the value is nested deeper than 200 levels"},
  };
  for (const auto& [source, message] : cases) {
    const auto text = render(source);
    ASSERT_FALSE(text.ok()) << source;
    EXPECT_EQ(text.error().code(), Code::kResourceExhausted);
    EXPECT_THAT(text.error().message(), HasSubstr(message));
  }
}

class EndlessTemplate : public testing::TestWithParam<const char*> {};

TEST_P(EndlessTemplate, EndsWithAnError) {
  EXPECT_EQ(code_of(GetParam()), Code::kResourceExhausted) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    HostileTemplate, EndlessTemplate,
    testing::Values(
        "{% for i in [[]] recursive %}{{ loop([i]) }}{% endfor %}", "{{ '%1000000000s' % 'a' }}",
        "{{ '{:1000000000000}'.format(1) }}",
        "{% set a = 'a' * 10000000 %}{% for i in range(100000) %}{{ a is upper }}{% endfor %}",
        "{% set a = 'a' * 10000000 %}{% for i in range(100000) %}{{ a.isalpha() }}{% endfor %}",
        "{% set a = '<' * 10000000 %}{{ a | e | forceescape }}",
        "{{ [] | batch(1, 'x') | list }}{{ [1] | batch(10 ** 15, 'x') | list }}",
        "{{ [1] | slice(10 ** 15) | list }}",
        "{% macro m() %}{{ m(*(varargs + varargs + (1,))) }}{% endmacro %}{{ m() }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{{ range(10 ** 15) }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{{ m(n - 1) if n }}{{ m(n - 1) if n }}{% endmacro %}{{ m(60) }}",
        "{{ 'a' * 10 ** 12 }}", "{{ [0] * 10 ** 12 }}",
        "{{ '' * 10 ** 18 ~ ([] * 10 ** 18) ~ 'a' * 9223372036854775807 }}",
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% "
        "endfor %}",
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% "
        "endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
        "endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
        "endfor %}{{ ns.l | tojson }}",
        "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, "
        "ns.l] %}{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l == ns.k }}",
        "{% set a = 'a' * 10000000 %}{{ (a ~ 'b') in a }}",
        "{% set a = 'a' * 10000000 %}{{ a.count('aaaaab' * 100000) }}",
        "{% set a = 'a' * 10000000 %}{{ a.replace('a', a) }}",
        "{% set a = 'a' * 10000000 %}{{ a.replace('', a) }}",
        "{% set a = 'a' * 10000000 %}{{ a.join([a] * 10000) }}",
        "{% set a = 'a' * 10000000 %}{{ ([a] * 10000) | join }}",
        "{% set a = '\\n' * 10000000 %}{{ a | indent(1000, true, true) }}",
        "{% set a = 'a' * 10000000 %}{% for c in a %}{% endfor %}",
        "{% set a = 'ab' * 1000000 %}{% for c in range(1000000) %}{% set b = a.strip('ab' * "
        "1000) %}{% endfor %}",
        "{{ 'x'.ljust(10 ** 15) }}",
        "{% set ns = namespace() %}{% for i in range(10 ** 9) %}{% set ns.x = i %}{% endfor %}",
        "{% for i in range(100) %}{{ 'a' * 100000 }}{% endfor %}"));

TEST(HostileTemplate, ValuesWithoutEndCanBeMadeButNotPrinted) {
  EXPECT_EQ(
      *render("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns.self.self is defined }}"),
      "True");
  EXPECT_EQ(code_of("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}"),
            Code::kResourceExhausted);
  // A chain that is far deeper than any stack is made and freed.
  const std::string deep =
      "{% set ns = namespace(l=[]) %}{% for i in range(3) %}{% for j in range(100000) %}"
      "{% set ns.l = [ns.l] %}{% endfor %}{% endfor %}";
  EXPECT_EQ(*render(deep + "{{ ns.l | length }}"), "1");
  EXPECT_EQ(code_of(deep + "{{ ns.l }}"), Code::kResourceExhausted);
}

TEST(HostileTemplate, AMacroOutlivesTheScopeItWasMadeIn) {
  EXPECT_EQ(
      *render(
          "{% set ns = namespace() %}{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}"
          "{% set ns.m = m %}{% set ns.loop = loop %}{% endfor %}{{ ns.m() }}{{ ns.loop.length }}"),
      "22");
}

std::string repeated(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(HostileTemplate, DeepNestingIsRefusedBeforeTheStackEnds) {
  for (const char* open :
       {"(", "[", "{1: ", "-", "not ", "a if ", "a[", "f(", "a ~ (", "a|default("}) {
    EXPECT_FALSE(ChatTemplate::compile("{{ " + repeated(open, 20'000)).ok()) << open;
  }
  for (const char* chain : {"+ 1", ".a", "[0]", "()", "| trim", "and 1", "or 1", "** 2", "if 1"}) {
    const auto compiled =
        ChatTemplate::compile("{{ a" + repeated(" " + std::string(chain), 20'000) + " }}");
    ASSERT_FALSE(compiled.ok()) << chain;
    EXPECT_EQ(compiled.error().code(), Code::kUnsupported) << chain;
  }
  for (const char* block :
       {"{% if 1 %}", "{% for i in x %}", "{% set x %}", "{% macro m() %}", "{% with %}"}) {
    EXPECT_EQ(ChatTemplate::compile(repeated(block, 20'000)).error().code(), Code::kUnsupported);
  }
  EXPECT_FALSE(ChatTemplate::compile("{% for " + repeated("(", 20'000)).ok());
  // Long without being deep is fine.
  EXPECT_TRUE(ChatTemplate::compile("{{ 1" + repeated(" ~ 1", 20'000) + " }}").ok());
  EXPECT_TRUE(
      ChatTemplate::compile("{% if a %}" + repeated("{% elif b %}", 20'000) + "{% endif %}").ok());
}

TEST(HostileTemplate, RefusingALongTemplateTakesLittleMemory) {
  EXPECT_THAT(ChatTemplate::compile(std::string(256 * 1024 + 1, 'a')).error().message(),
              HasSubstr("a chat template of 262145 bytes, expected at most 262144"));
  for (const char* piece :
       {"{{a}}", "{%set a=b%}", "{{a.b.c|d(e,f)}}", "{% if a %}", "{#", "a{{1}}"}) {
    std::string source = repeated(piece, 260'000 / static_cast<int>(std::strlen(piece)));
    const PeakMemory refusal = peak_memory([&] {
      const auto compiled = ChatTemplate::compile(source + "{% endfor %}");
      return compiled.ok() ? "no error" : compiled.error().message();
    });
    EXPECT_LT(refusal.bytes, kMemoryFactor * (64 << 20)) << piece;
    EXPECT_THAT(refusal.result, HasSubstr("line 1: ")) << piece;
  }
}

TEST(HostileTemplate, AnyCutOfATemplateIsRenderedOrRefused) {
  const std::string source =
      "{%- macro m(a, b=1) -%}{{ a ~ b }}{%- endmacro %}{% set x = {'k': [1, 2.5, 'é\\n']} %}"
      "{% for k, v in x.items() if v is defined %}{{ m(k, v[::-1]) | upper }}{% else %}-{% endfor "
      "%}"
      "{# c #}{% raw %}{{{% endraw %}{% call m(1) %}{% endcall %}{% filter trim %} a {% endfilter "
      "%}"
      "{{ x.k[0] if x['k'] is iterable and not 1 > 2 <= 3 else none }}";
  ASSERT_FALSE(render("{% call m(1) %}{% endcall %}").ok());
  for (size_t begin = 0; begin < source.size(); begin += 7) {
    for (size_t end = begin; end <= source.size(); ++end) {
      render(std::string_view(source).substr(begin, end - begin)).ok();
    }
  }
  for (size_t i = 0; i < source.size(); ++i) {
    for (const char c : {'{', '}', '%', '\'', '(', ')', '|', '\0', '\xFF', '-', '.'}) {
      std::string changed = source;
      changed[i] = c;
      render(changed).ok();
    }
  }
}

TEST(HostileTemplate, InvalidBytesNeverReachTheOutput) {
  EXPECT_EQ(*render("a\xFF{{ '\xC3' }}"), "a\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(*render("{{ '\\ud800' }}"), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace hearth::chat
