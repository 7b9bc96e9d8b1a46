{%- set fields = ['product_id', 'quantity', 'unit_price'] -%}

with orders as (

    select * from {{ ref('orders') }}

),

lines as (

    {{ json_list_rows('orders', ['namespace', 'order_id'], 'lines') | indent(4) }}

),

parsed as (

    {{ json_documents('lines', 'element', fields, is_sound('element')) | indent(4) }}

)

select
    namespace,
    order_id,
    position as line_number,
    {{ name_said('product_id') }} as product_id,
    {{ try_bigint(json_field('document', 'quantity')) }} as quantity,
    {{ typed(json_field('document', 'unit_price'), 'decimal(18,2)') }} as unit_price
from parsed
where left(element, 1) = '{{ "{" }}'
