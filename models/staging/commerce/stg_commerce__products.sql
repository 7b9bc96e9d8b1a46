{%- set fields = [
    'namespace', 'product_id', 'attributes', 'updated_at'
] -%}

with products as (

    select * from {{ ref('base_commerce__products') }}

),

parsed as (

    {{ json_documents('products', 'payload', fields) | indent(4) }}

)

select
    {{ name_said('namespace') }} as namespace,
    {{ name_said('product_id') }} as product_id,
    {{ json_field('document', 'attributes') }} as attributes,
    {{ time_of_record('updated_at') }} as updated_at,
    loaded_at,
    file_name,
    line_number
from parsed
where fault is null
