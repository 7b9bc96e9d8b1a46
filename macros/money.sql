{#
    Text as an amount of money, to the tenth of a cent; NULL where it is none. Digits beyond are rounded: shops compute
    with binary fractions. Signs of currency and of thousands are not guessed at.
#}
{% macro amount(text) -%}
    case
        when {{ matches('trim(' ~ text ~ ')', '^-?[0-9]{1,14}([.][0-9]{1,20})?$') }}
            then cast(round({{ checked_cast('trim(' ~ text ~ ')', 'decimal(38,20)') }}, 3) as decimal(18, 3))
    end
{%- endmacro %}
