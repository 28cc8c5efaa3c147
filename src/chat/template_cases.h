// Templates for the comparison with Jinja.
#pragma once

namespace hearth::chat {

inline constexpr const char* kCaseVariables = R"json({
  "n": 7, "m": -3, "x": 2.5, "big": 1e16, "small": 0.00001, "yes": true, "no": false, "nil": null,
  "s": "Hello, World", "t": "  pad\t\n", "u": "Grüße 😀 ß", "q": "it's \"so\"\\\n\u0001\u00a0", "empty": "",
  "list": [3, 1, 2], "words": ["b", "A", "c", "a"], "mixed": [1, 2.0, "three", true, null, [4], {"k": "v"}],
  "none_list": [], "d": {"b": 1, "a": {"deep": [10, 20]}, "items": "key", "1": "one"},
  "people": [{"name": "Ada", "age": 36, "admin": true}, {"name": "bob", "age": 7}, {"name": "Cy", "age": 36, "admin": false}]
})json";

inline constexpr const char* kCases[] = {
    // Whitespace.
    "a\n{% if yes %}\n  b\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \n  b\n  {% endif %}\nc\n\n",
    "a  {%- if yes -%}  \n b \n {%- endif -%} \n c",
    "  {%+ if yes %}\nx{%+ endif %}\ny",
    "{% if yes +%}\nx{% endif +%}\ny",
    "a {# gone #}\n b\n  {# own line #}\nc {#- left -#} d",
    "  {{ n }}  \n  {{- n -}}  \n {{ n }}\n",
    "{{ n }}\n{{ n }}",
    "{% raw %}{{ n }} {% if %}\n{% endraw %}\nx",
    "a \n{%- raw -%} \n {{ x }} \n {%- endraw -%} \n b",
    "\r\na\rb\r\n",
    "{{ 'a\r\nb' }}",
    "x{% set a = 1 %}\n\n  {% set b = 2 %}\n{{ a + b }}",
    "\t {% if yes %}x{% endif %} {% if yes %}y{% endif %}",
    "{# {{ n }} {% if #}z{",
    "{ { n } } {n} %} }} #}",
    // Literals.
    R"({{ 'a\tb\n\\\'\"\x41\u00e9\U0001F600\101\q' }}|{{ "it's" }}|{{ 'x' 'y' "z" }})",
    "{{ 1 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5 }} {{ 1e3 }} {{ 2.5E-3 }} {{ "
    "1_0.2_5 }}",
    "{{ true }} {{ True }} {{ false }} {{ none }} {{ None }} {{ [] }} {{ {} }} {{ () }} {{ (1,) }} "
    "{{ (1, 'a') }}",
    "{{ [1, 'a', none, true, 2.0] }} {{ {'a': 1, 2: [3], none: 'x', true: 4.5} }}",
    "{{ 1, 2 }}",
    "{{ {'a': {'b': 1}}}}",
    "{{ [q, u, s, t] }}",
    "{{ ['\\u200b', '\\u00ad', '\\ud7ff', '\\ue000', '\\x7f', '\\x00', '\\u3000'] }}",
    "{{ x }} {{ big }} {{ small }} {{ 1e15 }} {{ 123456789.125 }} {{ 1e300 * 1e10 }} {{ 0.1 + 0.2 "
    "}} {{ -0.0 }} {{ 1e22 }}",
    "{{ mixed }} {{ d }}",
    // Names and undefined.
    "[{{ missing }}] {{ missing is defined }} {{ missing is undefined }} {{ d.missing is defined "
    "}} {{ missing == missing }}",
    "{{ not missing }} {{ missing or 'x' }} {{ [missing] }} {{ missing ~ 'a' }} {{ missing | "
    "default('d') }} {{ missing | length }}",
    "{% for i in missing %}x{% else %}none{% endfor %} {{ 'a' in missing }} {{ missing | list }} "
    "{{ missing | trim }}",
    "{{ nil.x is defined }} {{ s.nothing is defined }} {{ list[10] is defined }} {{ list[-1] }} {{ "
    "list[-10] is defined }}",
    "{{ missing is none }} {{ nil is none }} {{ nil is defined }} {{ missing is iterable }} {{ "
    "missing is sequence }}",
    // Arithmetic.
    "{{ n + m }} {{ n - m }} {{ n * m }} {{ n / 2 }} {{ n // 2 }} {{ m // 2 }} {{ n % 4 }} {{ m % "
    "4 }} {{ n % m }} {{ 2 ** 10 }} {{ 2 ** -1 }}",
    "{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ 7.5 % -2 }} {{ 6 / 3 }} {{ 2 ** 0.5 }} {{ 1 + 2.0 }} {{ "
    "true + true }} {{ -n }} {{ +n }} {{ -x }}",
    "{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 1 - 2 - 3 }} {{ 2 * 3 + 4 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * "
    "4 }} {{ 10 // 3 * 3 }}",
    "{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] + [2] }} {{ [1, 2] * 2 }} {{ 'a' * -1 "
    "}}|{{ (1,) + (2,) }}",
    "{{ 1 ~ 'a' ~ 2.5 ~ none ~ true ~ [1] }} {{ 1 + 2 ~ 3 + 4 }} {{ 2 * 3 ~ 4 }}",
    "{{ -5 | abs }} {{ 5 - -5 }} {{ -n | abs }} {{ (-1) ** 5 }} {{ 0 ** 0 }} {{ 1 ** 100000000000 "
    "}}",
    // Comparison and logic.
    "{{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ [1, [2]] == [1, [2]] }} {{ {'a': 1} == "
    "{'a': 1.0} }} {{ 1 == '1' }} {{ none == false }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1, "
    "2) != [1, 2] }} {{ 1 <= 1.0 }}",
    "{{ 'ell' in s }} {{ 2 in list }} {{ 'b' in d }} {{ 9 not in list }} {{ 'z' not in s }} {{ '' "
    "in s }} {{ 2.0 in list }} {{ not 2 in list }}",
    "{{ 1 and 2 }} {{ 0 or 'x' }} {{ '' and 1 }}|{{ not not 1 }} {{ not 1 == 2 }} {{ 1 or "
    "missing.x }} {{ nil or none_list or 'end' }}",
    "{{ 'a' if yes else 'b' }} {{ 'a' if no }}|{{ 1 if no else 2 if no else 3 }} {{ ('a' if no "
    "else 'b') ~ 'c' }}",
    "{{ list == [3, 1, 2] and s == 'x' or n == 7 }}",
    // Access.
    "{{ d.b }} {{ d['b'] }} {{ d.a.deep[1] }} {{ d['a']['deep'][-1] }} {{ d['1'] }} {{ d['items'] "
    "}} {{ d.get('b') }} {{ d.get('z') }} {{ d.get('z', 5) }}",
    "{{ d.items() | list }} {{ d.keys() | list }} {{ d.values() | list }} {{ d | items | list }} "
    "{{ d | length }} {{ d | list }}",
    "{{ s[0] }} {{ s[-1] }} {{ u[6] }} {{ u[:5] }} {{ u[::-1] }} {{ s[2:5] }} {{ s[:-3] }} {{ "
    "s[-3:] }} {{ s[::2] }} {{ s[5:2] }}| {{ s[10:100] }}",
    "{{ list[1:] }} {{ list[::-1] }} {{ list[:2] }} {{ list[-2:] }} {{ list[5:] }} {{ list[::2] }} "
    "{{ list[2:0:-1] }} {{ (1, 2, 3)[1:] }} {{ list[-100:100] }}",
    "{{ list[0] + list.0 }} {{ people[0].name }} {{ people.1.name }} {{ list['length'] is defined "
    "}} {{ s['upper']() }}",
    "{% set f = s.upper %}{{ f() }} {{ d.items is defined }} {{ d.missing_key }}|{{ d['copy']() == "
    "d }}",
    "{{ 'abc'.upper()[1:].lower() }} {{ [1, 2, 3][1] }} {{ {'a': [5]}.a[0] }} {{ {'a': [5]}['a'] "
    "}} {{ (n + 1) }}",
    // Tests.
    "{{ n is number }} {{ x is number }} {{ yes is number }} {{ s is number }} {{ n is integer }} "
    "{{ yes is integer }} {{ x is float }} {{ n is float }}",
    "{{ s is string }} {{ list is string }} {{ d is mapping }} {{ list is mapping }} {{ list is "
    "iterable }} {{ s is iterable }} {{ n is iterable }} {{ d is iterable }} {{ d is sequence }} "
    "{{ s is sequence }} {{ n is sequence }}",
    "{{ yes is true }} {{ 1 is true }} {{ no is false }} {{ yes is boolean }} {{ n is boolean }} "
    "{{ n is odd }} {{ n is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }}",
    "{{ n is eq 7 }} {{ n is equalto(8) }} {{ n is ne 7 }} {{ n is gt 6 }} {{ n is ge 7 }} {{ n is "
    "lt 7 }} {{ n is le 7 }} {{ n is greaterthan 3 }} {{ n is lessthan 3 }}",
    "{{ 2 is in list }} {{ 2 is in [1] }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'Abc' is "
    "lower }} {{ s.upper is callable }} {{ n is callable }}",
    "{{ n is not none }} {{ nil is not none }} {{ missing is not defined }} {{ not n is none }} {{ "
    "n is defined and n is number }} {{ s is string or missing.x }}",
    "{{ yes is sameas true }} {{ 1 is sameas true }} {{ list is sameas list }} {{ none is sameas "
    "none }} {{ 'trim' is filter }} {{ 'nope' is filter }}",
    // Filters of text.
    "[{{ t | trim }}] [{{ 'xxaxx' | trim('x') }}] {{ s | upper }} {{ s | lower }} {{ u | upper }} "
    "{{ u | lower }} {{ 'hELLO wORLD' | capitalize }} {{ 'hello-world (foo) bar' | title }}",
    "{{ s | replace('l', 'L') }} {{ s | replace('l', 'L', 2) }} {{ 'abc' | replace('', '-') }} {{ "
    "'' | replace('', 'x') }} {{ 'aaa' | replace('aa', 'b') }} {{ 'abc' | replace('', '-', 2) }}",
    "{{ s | length }} {{ u | length }} {{ list | length }} {{ d | count }} {{ 5 | string ~ 'x' }} "
    "{{ 'a\nb\n\nc' | indent }} {{ 'a\nb' | indent(2, true) }} {{ 'a\n\nb' | indent(2, blank=true) "
    "}} {{ 'a\nb' | indent('> ') }}",
    "{{ '42' | int }} {{ ' 42 ' | int }} {{ '4.9' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ "
    "4.9 | int }} {{ -4.9 | int }} {{ 'ff' | int(0, 16) }} {{ true | int }} {{ nil | int }} {{ "
    "'1_0' | int }}",
    "{{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ 'inf' | float }} {{ 'x' | float(2.5) "
    "}} {{ '1e3' | float }} {{ nil | float }}",
    "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 7 | round }} {{ 2.1 | round(0, "
    "'ceil') }} {{ 2.99 | round(1, 'floor') }} {{ 1234.5 | round(-2) }} {{ -2.5 | round | int }} "
    "{{ 0.5 | round }}",
    "{{ 'safe' | safe }} {{ 'A' | d('x') }} {{ '' | d('x') }}|{{ '' | d('x', true) }} {{ nil | "
    "default('n') }} {{ nil | default('n', boolean=true) }} {{ missing | default }}",
    // tojson.
    "{{ mixed | tojson }} {{ d | tojson }} {{ q | tojson }} {{ u | tojson }} {{ x | tojson }} {{ "
    "nil | tojson }} {{ (1, 2) | tojson }} {{ {} | tojson }} {{ [] | tojson }} {{ 1e16 | tojson }}",
    "{{ d | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ {'a': [], 'b': {}} | "
    "tojson(indent=4) }} {{ mixed | tojson(indent=0) }} {{ d | tojson(indent='--') }}",
    "{{ u | tojson(ensure_ascii=true) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ [1, "
    "{'a': 2}] | tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}",
    R"({{ '</script>\x7f\x1f\b\f"\\/' | tojson }} {{ '\u2028' | tojson }})",
    // Filters of lists.
    "{{ list | sort }} {{ list | sort(reverse=true) }} {{ words | sort }} {{ words | "
    "sort(case_sensitive=true) }} {{ people | sort(attribute='age') | map(attribute='name') | list "
    "}} {{ people | sort(attribute='name', reverse=true) | map(attribute='name') | join }}",
    "{{ list | join(', ') }} {{ list | join }} {{ people | join('/', attribute='name') }} {{ mixed "
    "| join('|') }} {{ s | join('-') }} {{ none_list | join(',') }}|{{ [1, none, 'a'] | join(1) }}",
    "{{ list | first }} {{ list | last }} {{ none_list | first }}|{{ s | first }} {{ s | last }} "
    "{{ '' | first }}|{{ d | first }} {{ list | min }} {{ list | max }} {{ words | max }} {{ "
    "none_list | max }}|{{ people | max(attribute='age') }}",
    "{{ list | sum }} {{ people | sum(attribute='age') }} {{ list | sum(start=10) }} {{ list | "
    "reverse | list }} {{ s | reverse }} {{ [1, 2, 1, 'a', 'A'] | unique | list }} {{ words | "
    "unique(case_sensitive=true) | list }} {{ 'abc' | list }}",
    "{{ words | map('upper') | list }} {{ people | map(attribute='name') | list }} {{ people | "
    "map(attribute='admin', default='?') | list }} {{ ['a,b'] | map('replace', ',', ';') | list }} "
    "{{ [[1, 2]] | map(attribute=0) | list }} {{ [d] | map(attribute='a.deep.1') | list }}",
    "{{ list | select('odd') | list }} {{ list | reject('odd') | list }} {{ [0, 1, ''] | select | "
    "list }} {{ [0, 1, ''] | reject | list }} {{ list | select('gt', 1) | list }} {{ mixed | "
    "select('string') | list }} {{ list | select('in', [1, 2]) | list }}",
    "{{ people | selectattr('admin') | map(attribute='name') | list }} {{ people | "
    "rejectattr('admin') | map(attribute='name') | list }} {{ people | selectattr('age', "
    "'equalto', 36) | list | length }} {{ people | selectattr('admin', 'defined') | list | length "
    "}} {{ people | rejectattr('age', '>', 10) | map(attribute='name') | first }}",
    "{{ d | dictsort }} {{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'A': 2} | "
    "dictsort(by='value') }} {{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {'b': 1, 'a': 2} | "
    "dictsort(reverse=true) }}",
    "{{ s | attr('upper') is callable }} {{ d | attr('b') is defined }} {{ range(5) | list }} {{ "
    "range(2, 5) | list }} {{ range(5, 0, -2) | list }} {{ range(0) | list }}",
    "{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'y': 2}, z=3) }}",
    // Methods.
    "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b "
    "c'.split(none, 1) }} {{ 'a b c '.split(maxsplit=1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c "
    "'.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a\\u3000b\\u00a0c'.rsplit() }} "
    "{{ 'a b'.split(' ', 0) }} {{ ' a b '.split(none, 0) }}",
    "[{{ t.strip() }}] [{{ t.lstrip() }}] [{{ t.rstrip() }}] {{ 'xyaxy'.strip('yx') }} {{ "
    "'xya'.lstrip('x') }} {{ 'ayx'.rstrip('x') }} {{ '\\u3000a\\u3000'.strip() }} {{ "
    "'éaé'.strip('é') }}",
    "{{ s.startswith('Hell') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'He')) }} {{ "
    "s.endswith(('x', 'y')) }} {{ s.find('o') }} {{ s.rfind('o') }} {{ u.find('😀') }} {{ "
    "s.find('zz') }} {{ s.index('W') }} {{ s.count('l') }} {{ 'aaa'.count('aa') }} {{ "
    "'ab'.count('') }}",
    "{{ s.upper() }} {{ s.lower() }} {{ 'hello wORLD it\\'s'.title() }} {{ 'hELLO'.capitalize() }} "
    "{{ s.replace('o', '0') }} {{ s.replace('o', '0', 1) }} {{ '-'.join(words) }} {{ "
    "'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }}",
    "{{ 'ab12'.isalnum() }} {{ 'ab'.isalpha() }} {{ '12'.isdigit() }} {{ ''.isdigit() }} {{ ' "
    "\t'.isspace() }} {{ 'AB1'.isupper() }} {{ 'ab1'.islower() }} {{ '1'.islower() }} {{ "
    "'é'.isalpha() }}",
    "{{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }} {{ "
    "'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ "
    "'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'a'.partition('=') }} {{ "
    "'a'.rpartition('=') }}",
    "{{ '{} and {}'.format(1, 'b') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}{{}}'.format(x=none) "
    "}} {{ list.index(1) }} {{ list.count(3) }} {{ (1, 1).count(1) }} {{ list.copy() }}",
    // set and scopes.
    "{% set a = 1 %}{% set a = a + 1 %}{{ a }} {% set b, c = 1, 2 %}{{ b }}{{ c }} {% set (e, f) = "
    "[3, 4] %}{{ e + f }}",
    "{% set a = 1 %}{% for i in [1, 2] %}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}",
    "{% set a = 1 %}{% if yes %}{% set a = 2 %}{% endif %}{{ a }}",
    "{% set ns = namespace(a=1, items=[]) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% set "
    "ns.items = ns.items + [i] %}{% endfor %}{{ ns.a }} {{ ns.items }} {{ ns.zzz is defined }}",
    "{% set text %}x{{ n }}y{% endset %}[{{ text }}] {% set up | upper | trim %}  abc {% endset "
    "%}[{{ up }}] {{ text is string }}",
    "{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ a is defined }} {% with %}{% set z = 1 %}{{ "
    "z }}{% endwith %}{{ z is defined }}",
    "{% filter upper %}abc {{ s }}{% endfilter %} {% filter replace('a', 'b') | upper %}aaa{% "
    "endfilter %}",
    "{% generation %}inside {{ n }}{% endgeneration %} after",
    // Loops.
    "{% for i in list %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 "
    "}}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}:{{ i }} {% endfor %}",
    "{% for i in list %}{{ loop.previtem if loop.previtem is defined else '-' }}<{{ i }}>{{ "
    "loop.nextitem if not loop.last else '-' }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for k in d %}{{ k }},{% endfor %} "
    "{% for c in 'héy' %}{{ c }}.{% endfor %} {% for k, v in d | dictsort %}{{ k }}{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %} {% for i in list if i > 1 %}{{ loop.index }}{{ "
    "i }} {% endfor %} {% for i in list if i > 9 %}x{% else %}none{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% "
    "endif %}{{ i }}{% endfor %}",
    "{% for i in [1, 2] %}{% for j in [1, 2] %}{% if j == 2 %}{% break %}{% endif %}{{ loop.depth "
    "}}{{ loop.depth0 }}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in range(4) %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %} {% for a, (b, c) in [[1, "
    "[2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for m in people %}{% set last = loop.last %}{{ m.name }}{{ ', ' if not last }}{% endfor %}",
    "{% for i in 1, 2, 3 %}{{ i }}{% endfor %} {% for i in list[::-1] %}{{ i }}{% endfor %} {% for "
    "i in (list if yes else []) %}{{ i }}{% endfor %} {{ loop is defined }}",
    // Macros.
    "{% macro m(a, b='x', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} {{ "
    "m(1, c=3) }} {{ m(b=2, a=1) }} {{ m() }}",
    "{% macro m(x) -%}  [{{ x }}]  {%- endmacro %}{{ m(m(1)) }} {{ m('a') | upper ~ 'b' }}{% set v "
    "= m(2) %}{{ v | length }}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{{ m() }}{% set g = 2 %}{{ m() }} {% macro "
    "fact(k) %}{{ 1 if k < 2 else k * (fact(k - 1) | int) }}{% endmacro %}{{ fact(5) }}",
    "{% macro box(title) %}<{{ title }}>{{ caller() }}</{{ title }}>{% endmacro %}{% call box('t') "
    "%}in{{ n }}{% endcall %}",
    "{% macro list_of(items) %}{% for i in items %}{{ caller(i) }},{% endfor %}{% endmacro %}{% "
    "call(i) list_of([1, 2]) %}<{{ i }}>{% endcall %}",
    "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% if no %}a{% elif n == 7 %}b{% elif yes %}c{% else %}d{% endif %} {% if no %}{% else %}e{% "
    "endif %} {% if not no and (yes or missing.x) %}f{% endif %}",
    // Lazy filters give iterators: true when empty, without length and positions, walked once.
    "{{ 'yes' if [] | select else 'no' }} {{ 'yes' if list | map('string') else 'no' }} {{ 'yes' "
    "if [] | list else 'no' }} {{ 'yes' if d | items }} {{ 'yes' if [] | reverse }}",
    "{% set it = list | map('string') %}{{ it | join }}|{{ it | join }}|{% for i in it %}x{% else "
    "%}empty{% endfor %}",
    "{% set it = [1, 2, 3, 4] | select %}{{ it | first }} {{ 3 in it }} {{ it | list }} {{ it | "
    "list }}",
    "{{ (list | select)[0] is defined }} {{ list | select is iterable }} {{ list | select is "
    "sequence }} {{ d.items() is sequence }} {{ d.keys() is iterable }} {{ (list | select) == "
    "(list | select) }}",
    "{{ none | select | list }} {{ 0 | map('upper') | list }} {{ none | selectattr('x') | list }} "
    "{{ missing | rejectattr('x', 'equalto', 1) | list }} {{ false | reject | list }}",
    "{{ d.keys() }} {{ d.values() }} {{ {'a': 1}.items() }} {{ d.items() | length }} {{ "
    "d.items()[0] is defined }} {{ ('b', 1) in d.items() }} {{ 'b' in d.keys() }} {{ "
    "{1: 2}.items() == {1: 2}.items() }}",
    "{{ range(3) }} {{ range(2, 7) }} {{ range(4)[1] }} {{ range(9)[2:4] | list }} {{ range(3) | "
    "length }} {{ 2 in range(3) }} {{ range(3) is sequence }} {{ range(2) == range(2) }} {{ "
    "range(2) == [0, 1] }} {{ 'a' if range(0) else 'b' }} {{ range(3) | last }} {{ [0, 1] == "
    "(0, 1) }}",
    "{{ people | groupby('age') | length }} {% for age, group in people | groupby('age') %}{{ age "
    "}}:{{ group | map(attribute='name') | join(',') }} {% endfor %}{% for g in people | "
    "groupby('admin', default='?') %}{{ g.grouper }}={{ g.list | length }} {% endfor %}{{ [{'k': "
    "'b'}, {'k': 'B'}, {'k': 'a'}] | groupby('k') }}",
    "{{ range(7) | batch(3) | list }} {{ range(7) | batch(3, 'x') | list }} {{ [] | batch(2) | "
    "list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 0) | list }}",
    "{{ people | sort(attribute='age,name') | map(attribute='name') | join }} {{ people | "
    "sort(attribute='age,name', reverse=true) | map(attribute='name') | join }}",
    // Markup.
    "{{ '<a>' | e }} {{ '<a>' | escape | e }} {{ '<a>' | e | forceescape }} {{ '<a>' | safe }} {{ "
    "'<b>' | safe + '<i>' }} {{ '<i>' + '<b>' | safe }} {{ '<b>' | safe ~ '<i>' }} {{ ('<b>' | "
    "safe) * 2 }} {{ none | e }} {{ q | e }}",
    "{{ ('<b>' | safe).upper() + '<i>' }} {{ ('<b>' | safe | upper) + '<' }} {{ ('<b>' | safe | "
    "replace('b', 'c')) + '<' }} {{ ('a b' | safe).split()[0] + '<' }} {{ '<b>' | safe is escaped "
    "}} {{ '<b>' is escaped }} {{ '<b>' | safe == '<b>' }} {{ ['<b>' | safe] }} {{ ('<' | safe) "
    "in '<>' }} {{ ('<b>' | safe | string) + '<' }} {{ {'k': '<' | safe} | tojson }}",
    // Formatting.
    "{{ '%s and %s' % ('a', 1) }} {{ '%d%%' % 5 }} {{ '%5.2f|%-6s|%06d|%+d' % (2.5, 'ab', 42, 7) "
    "}} {{ '%x %X %#x %o' % (255, 255, 255, 8) }} {{ '%(name)s is %(age)d' % people[0] }} {{ '%r' "
    "% 'a' }} {{ '%s' % [1] }} {{ '%s' % none }} {{ '%e %g %G' % (12345.678, 0.0001, 1e20) }} {{ "
    "'%c%c' % ('a', 98) }} {{ '%*d' % (5, 3) }} {{ '%.2s' % 'abc' }} {{ '%d' % 2.9 }} {{ '% d' % 3 "
    "}}",
    "{{ '%s-%s' | format('a', 2) }} {{ '%(x)s' | format(x=1) }} {{ '{:>6}|{:<6}|{:^6}|{:*^7}' "
    ".format('a', 'b', 'c', 'd') }} {{ '{:05d} {:+.1f} {:,} {:x} {:#b} {:.1%}'.format(42, 2.25, "
    "1234567, 255, 5, 0.125) }} {{ '{!r} {0!s:>3}'.format('a') if no else '{0!r} "
    "{0!s:>3}'.format('a') }} {{ '{:.3}'.format('abcdef') }} {{ "
    "'{:10.3f}|{:e}|{:g}'.format(3.14159, "
    "1234.5, 1e-7) }} {{ '{:.3}'.format(2.0) }} {{ '{:_}'.format(1000000) }} {{ '{:c}'.format(97) "
    "}} {{ '{:é>3}'.format(1) }} {{ '{:=+5}'.format(3) }} {{ '{}'.format(true) }} {{ "
    "'{:5}'.format(true) }}",
    "[{{ 'a' | center(5) }}] [{{ 'ab'.center(5, '-') }}] [{{ 'abc'.center(6) }}] {{ 'one two, "
    "three_4' | wordcount }} {{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | "
    "truncate(11) }} {{ 'foo bar baz' | truncate(9, true, leeway=0) }} {{ 'foobarbaz' | "
    "truncate(5, "
    "false, '.', 0) }} {{ 'aBc'.swapcase() }} {{ 'a'.isascii() }} {{ 'é'.isascii() }}",
    "{{ 'a\r\nb\x0b' ~ 'c' }}{{ 'a\\rb\\x0bc\\n' | indent }}|{{ '' | indent(first=true) }}|{{ "
    "'\\n' | indent(2, true, true) }}",
    "{{ s.find('o', 5) }} {{ s.find('l', 1, 3) }} {{ s.rfind('o', 0, 6) }} {{ s.index('o', -5) }} "
    "{{ s.count('l', 3) }} {{ s.startswith('W', 7) }} {{ s.endswith('o', 0, 5) }} {{ s.find('', "
    "13) }} {{ s.find('', 14) }} {{ s.count('', 5, 3) }} {{ ''.startswith('', 1) }} {{ u.find('ß', "
    "-3) }}",
    "{{ '0x1f' | int(base=16) }} {{ '-0b11' | int(0, 2) }} {{ '0o17' | int(base=8) }} {{ '0x1f' | "
    "int(7) }}",
    // Calls.
    "{% macro m(a, b=2) %}{{ a }},{{ b }},{{ varargs }},{{ kwargs }};{% endmacro %}{{ m(1) }}{{ "
    "m(1, 2, 3, 4) }}{{ m(1, x=5, b=6) }}{{ m(*[1, 2, 3]) }}{{ m(*(7,), **{'y': 8}) }}{{ m(1, "
    "**{'b': 9}) }}{{ dict(**{'a': 1}, ) if no else dict(**{'a': 1}) }}",
    "{% macro m() %}{% if caller %}{{ caller() }}{% else %}alone{% endif %}{{ caller is defined "
    "}}{% endmacro %}{{ m() }} {% call m() %}called{% endcall %}",
    "{{ 'a b'.split(*[' ']) }} {{ 'x'.join(**{}) if no else 'ok' }} {{ range(*[1, 4]) | list }} {{ "
    "s | replace(*['l', 'L']) }}",
    // Recursive loops, and what else loops know.
    "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': [{'v': 3}]}, {'v': 4}]}, {'v': 5}] recursive %}{{ "
    "loop.depth }}{{ loop.depth0 }}:{{ n.v }}{% if n.c %}[{{ loop(n.c) }}]{% endif %}{{ ',' if not "
    "loop.last }}{% endfor %}",
    "{% for n in [[1, [2]], [], 3] if n is not number recursive %}({{ loop(n) if n is sequence "
    "}}{% "
    "else %}-{% endfor %}",
    "{% for i in [1, 1, 2, 2, 1] %}{{ 'c' if loop.changed(i) }}{{ i }}{% endfor %} {% for p in "
    "people %}{{ loop.changed(p.age, 1) }}{% endfor %} {% for i in [1] %}{{ loop is callable }}{{ "
    "loop | length }}{% endfor %}",
    // Names that do not exist matter only where they are used.
    "{% if no %}{{ x | nofilter }}{{ x is notest }}{% endif %}{{ 'fine' if yes else x | nofilter "
    "}}",
    "{{ tools is defined }} {{ tools is none }} {{ documents is none }} {{ 'abc' is test }} {{ "
    "'odd' "
    "is test }} {{ missing is callable }}",
    // Many variables.
    "{% set a1=1 %}{% set a2=1 %}{% set a3=1 %}{% set a4=1 %}{% set a5=1 %}{% set a6=1 %}{% set "
    "a7=1 %}{% set a8=1 %}{% set a9=1 %}{% set b1=1 %}{% set b2=1 %}{% set b3=1 %}{% set b4=1 %}{% "
    "set b5=1 %}{% set b6=1 %}{% set b7=1 %}{% set b8=1 %}{% set b9=2 %}{% set a1=3 %}{% set b9=4 "
    "%}{{ a1 }}{{ a9 }}{{ b1 }}{{ b9 }}{{ b10 is defined }}",
    "{{ strftime_now('%Y-%m') }}",
};

inline constexpr const char* kRefusedCases[] = {
    "{{ missing.x }}",
    "{{ missing() }}",
    "{{ missing + 1 }}",
    "{{ missing < 1 }}",
    "{{ -missing }}",
    "{{ d.a.b.c }}",
    "{{ 1 + 'a' }}",
    "{{ 'a' - 1 }}",
    "{{ 1 / 0 }}",
    "{{ 1 // 0 }}",
    "{{ 1 % 0 }}",
    "{{ 1 < 'a' }}",
    "{{ 1 in 'abc' }}",
    "{{ 'a' in 5 }}",
    "{% for i in 5 %}{% endfor %}",
    "{{ none | length }}",
    "{{ 5() }}",
    "{{ s.split('') }}",
    "{{ [1, 'a'] | sort }}",
    "{{ missing | tojson }}",
    "{{ missing | int }}",
    "{{ 'x' | dictsort }}",
    "{{ raise_exception('no') }}",
    "{{ list.append(1) }}",
    "{{ d.update({}) }}",
    "{{ '-'.join([1]) }}",
    "{{ list[::0] }}",
    "{{ range(1, 2, 0) | list }}",
    "{% set a, b = [1] %}",
    "{% set n.x = 1 %}",
    "{% macro m() %}{% endmacro %}{{ m(1) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, a=1) }}",
    "{{ {[1]: 2} }}",
    "{{ list | select | length }}",
    "{{ list | map('string') | last }}",
    "{{ list | select | tojson }}",
    "{{ range(3) | tojson }}",
    "{{ d.items() | tojson }}",
    "{{ (list | select)[0].x }}",
    "{{ range(3) + [1] }}",
    "{{ d.keys() + [] }}",
    "{{ range(100001) | list }}",
    "{{ 5 | select | list }}",
    "{{ [[1], [1]] | unique | list }}",
    "{{ [1] in d }}",
    "{{ d.get([]) }}",
    "{{ '%s %s' % 'a' }}",
    "{{ '%d' % 'a' }}",
    "{{ '%s' % ('a', 'b') }}",
    "{{ 'x' % 5 }}",
    "{{ '%' % 5 }}",
    "{{ '%(a)s' % 5 }}",
    "{{ '%q' % 5 }}",
    "{{ '{}'.format() }}",
    "{{ '{'.format(1) }}",
    "{{ '{:d}'.format('a') }}",
    "{{ '{:s}'.format(1) }}",
    "{{ '{:5}'.format(none) }}",
    "{{ '{:d}'.format(1.5) }}",
    "{{ 'abc' | truncate(2) }}",
    "{{ [1] | slice(0) | list }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{% call m(1) %}{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{% endmacro %}{{ m(*[1]) }}",
    "{% macro m(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ m(1, 2) }}",
    "{{ range(*5) }}",
    "{{ dict(**5) }}",
    "{{ dict(**{1: 2}) }}",
    "{% for i in [1] %}{{ loop() }}{% endfor %}",
    "{% for i in [1] %}{{ loop([1]) }}{% endfor %}",
    "{% for i in [[1]] recursive %}{{ loop(5) }}{% endfor %}",
    "{% if yes %}{{ x | nofilter }}{% endif %}",
    "{{ x | from_json }}",
    // Syntax.
    "{{ f(*a, *b) }}",
    "{{ f(**a, *b) }}",
    "{{ f(**a, b) }}",
    "{{ f(*a, b) }}",
    "{{",
    "{{ 1",
    "{% if %}{% endif %}",
    "{% if yes %}",
    "{% endif %}",
    "{% else %}",
    "{% for %}{% endfor %}",
    "{% for i of list %}{% endfor %}",
    "{% unknown %}",
    "{{ 1 + }}",
    "{{ (1 }}",
    "{{ 1) }}",
    "{{ 'a }}",
    "{{ a b }}",
    "{{ a..b }}",
    "{{ a[ }}",
    "{{ x | }}",
    "{{ x | nofilter }}",
    "{{ x is notest }}",
    "{# open",
    "{% raw %}x",
    "{% break %}",
    "{% set %}",
    "{% set a = %}",
    "{% macro %}{% endmacro %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% call 5 %}{% endcall %}",
    "{{ f(a=1, 2) }}",
    "{{ '\\x4' }}",
    "{{ {1} }}",
    "{{ ! }}",
    "{% if yes %}{% endfor %}",
};

}  // namespace hearth::chat
