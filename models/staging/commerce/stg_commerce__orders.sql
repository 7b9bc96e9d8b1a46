{%- set fields = [
    'namespace', 'order_id', 'customer_id', 'email', 'status', 'ordered_at', 'currency', 'total', 'lines', 'updated_at'
] -%}

with orders as (

    select * from {{ ref('base_commerce__orders') }}

),

parsed as (

    {{ json_documents('orders', 'payload', fields) | indent(4) }}

)

select
    {{ name_said('namespace') }} as namespace,
    {{ name_said('order_id') }} as order_id,
    {{ name_said('customer_id') }} as customer_id,
    {{ tidy_address(json_field('document', 'email')) }} as email,
    nullif(replace(replace({{ code(json_field('document', 'status')) }}, ' ', '_'), '-', '_'), '') as status,
    {{ time_of_record('ordered_at') }} as ordered_at,
    nullif(upper({{ trimmed(json_field('document', 'currency')) }}), '') as currency,
    {{ amount(json_field('document', 'total')) }} as total,
    {{ json_field('document', 'lines') }} as lines,
    {{ time_of_record('updated_at') }} as updated_at,
    loaded_at,
    file_name,
    line_number
from parsed
where fault is null
