{%- set who = ['namespace', 'customer_id', 'file_name', 'line_number'] -%}

with customers as (

    select * from {{ ref('stg_platform__customers') }}

),

listed_phones as (

    {{ json_list_rows('customers', who, 'phones') | indent(4) }}

)

select
    {{ who | join(', ') }},
    'email' as channel,
    0 as position,
    email as contact
from customers
where email is not null

union all

select
    {{ who | join(', ') }},
    'phone' as channel,
    0 as position,
    {{ trimmed('phone') }} as contact
from customers
where {{ trimmed('phone') }} <> ''

union all

select
    {{ who | join(', ') }},
    'phone' as channel,
    position,
    {{ trimmed('element') }} as contact
from listed_phones
where {{ trimmed('element') }} <> ''
