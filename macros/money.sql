{#
    Text as an amount of money, with all the digits that it has; NULL where it is none. It is rounded once, by the digits of
    its currency: shops compute with binary fractions. Signs of currency and of thousands are not guessed at.
#}
{% macro amount(text) -%}
    case
        when {{ matches(trimmed(text), '^-?[0-9]{1,14}([.][0-9]{1,20})?$') }}
            then {{ checked_cast(trimmed(text), 'decimal(38,20)') }}
    end
{%- endmacro %}
