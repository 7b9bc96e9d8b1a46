{# What an address and a phone number may look like. #}

{#
    An address as people and programs write it, as every table has it: in lower case, without blanks of any kind around
    it, out of the brackets of `Mona Vale <mona@example.com>`. Text that is only blank is NULL.
#}
{% macro tidy_address(text) -%}
    {%- set bare = "case when " ~ text ~ " like '%<%>%' then "
        ~ without(without(text, '^[^<]*<'), '>[^>]*$') ~ " else " ~ text ~ " end" -%}
    nullif({{ code(bare) }}, '')
{%- endmacro %}

{# The signs that people write between digits: blanks, no-break space, brackets, dots, dashes, slashes. #}
{% macro phone_marks() -%}
    {{ return('[' ~ blanks() ~ '\u2010\u2011\u2012\u2013()./-]') }}
{%- endmacro %}


{#
    Whether mail could reach an address, by its look: one @, at most 64 characters before it and 254 in all, no dot at
    the ends of the part before it nor two in a row, and a host of at least two labels, the last without a digit first.
    Letters of any alphabet pass; blanks of any kind, and what nobody sees, do not.
#}
{% macro is_possible_address(text) -%}
    {%- set no = '@ "(),:;<>\\x01-\\x1f\\x7f' -%}
    {%- set unseen = "\u0085\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
        ~ "\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff" -%}
    length({{ text }}) <= 254
    and {{ matches(text, '^[^' ~ no ~ ']{1,64}@([^.' ~ no ~ ']{1,63}[.])+[^.0-9' ~ no ~ '][^.' ~ no ~ ']{1,62}$') }}
    {#- By itself: in each part of the pattern above it would take forty times as long. #}
    and not {{ matches(text, '[' ~ unseen ~ ']') }}
    and {{ text }} not like '.%' and {{ text }} not like '%..%' and {{ text }} not like '%.@%'
    and {{ text }} not like '%[%' and {{ text }} not like '%]%'
    and {{ text }} not like '%@-%' and {{ text }} not like '%-.%' and {{ text }} not like '%.-%'
{%- endmacro %}
