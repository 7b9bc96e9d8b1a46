{# What an address and a phone number may look like. #}

{# The signs that people write between digits: blanks, no-break space, brackets, dots, dashes, slashes. #}
{% macro phone_marks() -%}
    {{ return('[ \t\u00a0\u2009\u202f\u2010\u2011\u2012\u2013()./-]') }}
{%- endmacro %}


{#
    Whether mail could reach an address, by its look: one @, at most 64 characters before it and 254 in all, no dot at
    the ends of the part before it nor two in a row, and a host of at least two labels, the last without a digit first.
    Letters of any alphabet pass.
#}
{% macro is_possible_address(text) -%}
    length({{ text }}) <= 254
    and {{ matches(text, '^[^@ \t\r\n"(),:;<>]{1,64}@([^@ \t\r\n"(),:;<>.]{1,63}[.])+[^@ \t\r\n"(),:;<>.0-9][^@ \t\r\n"(),:;<>.]{1,62}$') }}
    and {{ text }} not like '.%' and {{ text }} not like '%..%' and {{ text }} not like '%.@%'
    and {{ text }} not like '%[%' and {{ text }} not like '%]%'
    and {{ text }} not like '%@-%' and {{ text }} not like '%-.%' and {{ text }} not like '%.-%'
{%- endmacro %}
