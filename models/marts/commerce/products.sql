with products as (

    select * from {{ ref('int_products_judged') }}
    where disposition = 'kept'

)

select
    namespace,
    product_id,
    attributes,
    updated_at
from products
